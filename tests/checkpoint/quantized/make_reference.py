"""Make reference.safetensors.xz: a small matrix packed and decoded again by each library itself.

    python make_reference.py AUTO_GPTQ AUTO_AWQ

in an environment with torch, transformers 5, compressed-tensors 0.20 and bitsandbytes 0.50; the
two arguments are the unpacked sources of AutoGPTQ 0.7.1 and AutoAWQ 0.2.9, of which single modules
are imported.  Tensors are named "case|tensor", what the library decodes "case|="; the file's
metadata has the settings of each case.
"""

import importlib.util
import json
import lzma
import sys
import types
from pathlib import Path

import torch
from safetensors.torch import save

ROWS, COLUMNS, GROUP = 32, 64, 32
tensors: dict[str, torch.Tensor] = {}
settings: dict[str, dict] = {}


def weights(seed, rows=ROWS, columns=COLUMNS):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) / columns**0.5


def keep(case, config, packed, decoded):
    settings[case] = config
    for name, tensor in packed.items():
        tensors[f"{case}|layer.{name}"] = tensor.clone().contiguous()
    tensors[f"{case}|="] = decoded.clone().contiguous()


def ranges(values, bits, group, sym):
    """Scales and zero points [rows, groups]."""
    grouped = values.reshape(len(values), -1, group)
    if sym:
        scale = grouped.abs().amax(-1) / (2 ** (bits - 1) - 0.5)
        return scale, torch.full_like(scale, 2 ** (bits - 1))
    low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
    scale = (high - low) / (2**bits - 1)
    return scale, (-low / scale).round().clamp(1, 2**bits - 1)


def module(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def gptq(source):
    linear_of = module(
        source / "auto_gptq/nn_modules/qlinear/qlinear_cuda.py", "qlinear"
    ).QuantLinear
    cases = [
        (
            f"gptq-{bits}-{'sym' if sym else 'asym'}{'-act' if act else ''}-{group}",
            bits,
            group,
            sym,
            act,
        )
        for bits, group, sym, act in (
            (4, 32, True, False),
            (4, 32, False, False),
            (4, 32, False, True),
            (4, -1, True, False),
            (8, 32, True, False),
            (3, 64, False, False),
            (2, 32, False, False),
        )
    ]
    for seed, (case, bits, group, sym, act) in enumerate(cases):
        values, width = weights(seed), COLUMNS if group == -1 else group
        order = torch.randperm(COLUMNS, generator=torch.Generator().manual_seed(seed))
        places = order if act else torch.arange(COLUMNS)
        scale, zero = ranges(values[:, places], bits, width, sym)
        index = torch.empty(COLUMNS, dtype=torch.int32)
        index[places] = (torch.arange(COLUMNS) // width).int()
        scale = scale.half().float()
        spread = scale[:, index], zero[:, index]
        codes = (values / spread[0] + spread[1]).round().clamp(0, 2**bits - 1)
        linear = torch.nn.Linear(COLUMNS, ROWS, bias=False)
        linear.weight.data = ((codes - spread[1]) * spread[0]).half()
        packed = linear_of(bits, width, COLUMNS, ROWS, False)
        packed.pack(linear, scale.half(), zero, index)
        decoded = packed(torch.eye(COLUMNS, dtype=torch.float16)).T
        parts = {name: getattr(packed, name) for name in ("qweight", "qzeros", "scales", "g_idx")}
        config = {
            "quant_method": "gptq",
            "bits": bits,
            "group_size": group,
            "sym": sym,
            "desc_act": act,
        }
        keep(case, config, parts, decoded)
        if case == "gptq-4-asym-32":  # convert_gptq_v1_to_v2_format of GPTQModel: 1 a nibble more
            parts = {**parts, "qzeros": parts["qzeros"] + 0x11111111}
            keep("gptq-v2", {**config, "checkpoint_format": "gptq_v2"}, parts, decoded)


def awq(source):
    for name in ("awq", "awq.utils", "awq.modules", "awq.modules.linear"):
        package = types.ModuleType(name)
        package.__path__ = [str(source / name.replace(".", "/"))]
        sys.modules[name] = package
    packing = module(source / "awq/utils/packing_utils.py", "awq.utils.packing_utils")
    gemm = module(source / "awq/modules/linear/gemm.py", "awq.modules.linear.gemm").WQLinear_GEMM
    gemv = module(source / "awq/modules/linear/gemv.py", "awq.modules.linear.gemv").WQLinear_GEMV
    values = weights(20)
    scale, zero = ranges(values, 4, GROUP, False)
    scale = scale.half()
    linear = torch.nn.Linear(COLUMNS, ROWS, bias=False)
    linear.weight.data = values
    packed = gemm.from_linear(
        linear, 4, GROUP, scales=scale.T.contiguous(), zeros=zero.T.contiguous()
    )
    decoded = packing.dequantize_gemm(packed.qweight, packed.qzeros, packed.scales, 4, GROUP).T
    names = "qweight", "qzeros", "scales"
    config = {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True}
    keep("awq-gemm", {**config, "version": "gemm"}, {n: getattr(packed, n) for n in names}, decoded)
    # gemv has kernels for graphics cards alone; the same codes, so the same weights
    packed = gemv.from_linear(linear, 4, GROUP, scales=scale, zeros=zero)
    keep("awq-gemv", {**config, "version": "gemv"}, {n: getattr(packed, n) for n in names}, decoded)


def compressed_tensors():
    from compressed_tensors.compressors.base import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams

    cases = {
        "ct-pack-4-sym": ("pack-quantized", {"num_bits": 4, "strategy": "group", "group_size": 32}),
        "ct-pack-4-asym": (
            "pack-quantized",
            {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False},
        ),
        "ct-pack-4-channel": ("pack-quantized", {"num_bits": 4, "strategy": "channel"}),
        "ct-pack-8": ("pack-quantized", {"num_bits": 8, "strategy": "group", "group_size": 32}),
        "ct-int8": ("int-quantized", {"num_bits": 8, "strategy": "channel"}),
        "ct-int8-asym": (
            "int-quantized",
            {"num_bits": 8, "strategy": "channel", "symmetric": False},
        ),
        "ct-int8-tensor": ("int-quantized", {"num_bits": 8, "strategy": "tensor"}),
        "ct-fp8-tensor": (
            "float-quantized",
            {"num_bits": 8, "type": "float", "strategy": "tensor"},
        ),
        "ct-fp8-channel": (
            "float-quantized",
            {"num_bits": 8, "type": "float", "strategy": "channel"},
        ),
        "ct-fp8-block": (
            "float-quantized",
            {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [16, 32]},
        ),
        "ct-nvfp4": (
            "nvfp4-pack-quantized",
            {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
        ),
        "ct-mxfp4": (
            "mxfp4-pack-quantized",
            {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32},
        ),
    }
    for seed, (case, (form, stated)) in enumerate(cases.items(), start=40):
        args, values = QuantizationArgs(**stated), weights(seed)
        if stated["strategy"] == "block":
            blocks = values.reshape(ROWS // 16, 16, COLUMNS // 32, 32).transpose(1, 2)
            low, high = blocks.amin((-1, -2)), blocks.amax((-1, -2))
        elif stated["strategy"] == "tensor":
            low, high = values.min().reshape(1), values.max().reshape(1)
        else:
            grouped = values.reshape(ROWS, -1, stated.get("group_size", COLUMNS))
            low, high = grouped.amin(-1), grouped.amax(-1)
        overall = torch.tensor([448 * 6 / values.abs().max()]) if case == "ct-nvfp4" else None
        scale, zero = calculate_qparams(low, high, args, global_scale=overall)
        if form in ("int-quantized", "float-quantized") or stated["num_bits"] == 8:
            scale = scale.bfloat16()
        state = {"weight": values, "weight_scale": scale, "weight_zero_point": zero}
        if overall is not None:
            state["weight_global_scale"] = overall
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        compressor = BaseCompressor.get_value_from_registry(form)
        packed = compressor.compress(state, scheme)
        decoded = compressor.decompress(packed, scheme)["weight"]
        config = {
            "quant_method": "compressed-tensors",
            "format": form,
            "quantization_status": "compressed",
            "ignore": ["lm_head"],
            "config_groups": {
                "group_0": {"targets": ["Linear"], "weights": json.loads(args.model_dump_json())}
            },
        }
        keep(case, config, packed, decoded)


def fp8():
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    values = weights(60)
    for case, block in (
        ("fp8-block", (16, 32)),
        ("fp8-row", (1, COLUMNS)),
        ("fp8-tensor", (ROWS, COLUMNS)),
    ):
        grouped = values.reshape(ROWS // block[0], block[0], COLUMNS // block[1], block[1])
        scale = grouped.abs().amax((1, 3)) / 448
        weight = (grouped / scale[:, None, :, None]).reshape(ROWS, COLUMNS).to(torch.float8_e4m3fn)
        decoded = Fp8Dequantize(None)._dequantize_one(weight, scale, torch.float32)
        config = {"quant_method": "fp8"}
        if case == "fp8-block":
            config["weight_block_size"] = list(block)
        name = "weight_scale_inv" if case == "fp8-block" else "weight_scale"
        kept = scale.reshape(()) if case == "fp8-tensor" else scale
        keep(case, config, {"weight": weight, name: kept}, decoded)


def bitsandbytes():
    from bitsandbytes import functional

    config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    for case, kind, nested in (
        ("nf4", "nf4", False),
        ("nf4-nested", "nf4", True),
        ("fp4", "fp4", True),
    ):
        values = weights(70).to(torch.float32 if kind == "fp4" else torch.bfloat16)
        packed, state = functional.quantize_4bit(
            values, blocksize=64, quant_type=kind, compress_statistics=nested
        )
        parts = {f"weight.{name}": part for name, part in state.as_dict(packed=True).items()}
        decoded = functional.dequantize_4bit(packed, state)
        keep(f"bnb-{case}", config, {"weight": packed, **parts}, decoded)
    values, scale, _ = functional.int8_vectorwise_quant(weights(73).half())
    decoded = functional.int8_vectorwise_dequant(values, scale)
    config = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    keep("bnb-int8", config, {"weight": values, "SCB": scale}, decoded)


def mxfp4():
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    random = torch.Generator().manual_seed(80)
    blocks = torch.randint(0, 256, (ROWS, COLUMNS // 32, 16), dtype=torch.uint8, generator=random)
    scales = torch.randint(115, 130, (ROWS, COLUMNS // 32), dtype=torch.uint8, generator=random)
    decoded = convert_moe_packed_tensors(blocks[None], scales[None], dtype=torch.float32)[0].T
    parts = {"weight_blocks": blocks, "weight_scales": scales}
    keep("mxfp4", {"quant_method": "mxfp4"}, parts, decoded)


if __name__ == "__main__":
    gptq(Path(sys.argv[1]))
    awq(Path(sys.argv[2]))
    compressed_tensors()
    fp8()
    bitsandbytes()
    mxfp4()
    metadata = {case: json.dumps(config) for case, config in settings.items()}
    packed = lzma.compress(save(tensors, metadata), preset=9)
    Path(__file__).with_name("reference.safetensors.xz").write_bytes(packed)
