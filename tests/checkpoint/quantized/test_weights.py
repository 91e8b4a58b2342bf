"""Every method's weights against what its own library decodes, and what can't be read."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
from quantized_cases import CASES, read_cases

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.quantized.weights import METHODS
from aipc.errors import CheckpointError, UnsupportedModel

WEIGHT = "layer.weight"
STATE = "weight.quant_state.bitsandbytes__nf4"
GRIDS = {  # case: bits, group, symmetric
    "gptq-4-sym-32": (4, 32, True),
    "gptq-4-asym-32": (4, 32, False),
    "gptq-v2": (4, 32, False),
    "gptq-4-sym--1": (4, 64, True),
    "gptq-8-sym-32": (8, 32, False),
    "awq-gemm": (4, 32, False),
    "awq-gemv": (4, 32, False),
    "ct-pack-4-sym": (4, 32, True),
    "ct-pack-4-asym": (4, 32, False),
    "ct-pack-4-channel": (4, 64, True),
    "ct-pack-8": (8, 32, False),
    "ct-int8": (8, 64, False),
    "ct-int8-asym": (8, 64, False),
    "ct-int8-tensor": (8, 64, False),
    "bnb-int8": (8, 64, True),
}


@pytest.fixture
def write(tmp_path):
    """Write a case, changed by a function, and return its folder."""

    def changed(name, change=lambda case: None):
        case = read_cases()[name]
        change(case)
        return case.write(tmp_path)

    return changed


def rounded(values, dtype):
    """float32 as the library's own type has it."""
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        bits = values.view(np.uint32)
        nearest = bits + 0x7FFF + ((bits >> 16) & 1)
        return (nearest >> 16 << 16).astype(np.uint32).view(np.float32)
    return values


@pytest.mark.parametrize("case", CASES)
def test_decodes_as_the_library_does(case, tmp_path):
    known = read_cases()[case]
    with known.open(tmp_path) as checkpoint:
        assert list(checkpoint.tensors) == [WEIGHT]
        assert "quantization_config" not in checkpoint.config
        found = checkpoint.rows(WEIGHT)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(rounded(found, known.dtype), known.decoded)


@pytest.mark.parametrize("case", CASES)
def test_some_rows_are_those_of_the_whole(case, write):
    checkpoint = open_checkpoint(write(case))
    whole = checkpoint.rows(WEIGHT)
    for start, stop in ((0, 1), (3, 21), (31, 32), (9, 9)):
        np.testing.assert_array_equal(checkpoint.rows(WEIGHT, start, stop), whole[start:stop])
    with pytest.raises(CheckpointError, match="no rows 30 to 33"):
        checkpoint.rows(WEIGHT, 30, 33)


@pytest.mark.parametrize("case", CASES)
def test_a_grid_is_named_where_there_is_one_and_its_codes_make_the_weights(case, write):
    checkpoint = open_checkpoint(write(case))
    grid = checkpoint.grid(WEIGHT)
    if case not in GRIDS:
        assert grid is None
        return
    assert (grid.bits, grid.group, grid.sym) == GRIDS[case]
    found = checkpoint.codes(WEIGHT, 2, 19)
    zero = np.full_like(found.scale, 1 << (grid.bits - 1)) if found.zero is None else found.zero
    grouped = found.codes.reshape(*found.scale.shape, -1) - zero[..., None].astype(np.float32)
    weights = (grouped * found.scale[..., None]).reshape(found.codes.shape)
    np.testing.assert_allclose(weights, checkpoint.rows(WEIGHT, 2, 19), rtol=1e-6)


def test_scales_that_float16_holds_are_told_from_others(write):
    assert open_checkpoint(write("gptq-4-sym-32")).grid(WEIGHT).exact
    assert not open_checkpoint(write("ct-pack-4-sym")).grid(WEIGHT).exact


@pytest.mark.parametrize(
    "method", ["quanto", "hqq", "aqlm", "torchao", "vptq", "modelopt", "auto-round"]
)
def test_other_methods_are_refused_by_name(method, write):
    def change(case):
        case.settings = {"quant_method": method}

    with pytest.raises(UnsupportedModel, match=f"quantized by '{method}'.*16-bit original"):
        open_checkpoint(write("gptq-v2", change))
    assert method not in METHODS


@pytest.mark.parametrize("case", ["gptq-v2", "ct-pack-8", "fp8-block", "bnb-int8", "bnb-nf4"])
def test_packed_tensors_that_nothing_explains_are_refused(case, write):
    def change(known):
        known.settings = None

    with pytest.raises(UnsupportedModel, match="of a quantized checkpoint, but neither"):
        open_checkpoint(write(case, change))


@pytest.mark.parametrize(
    ("file", "case", "stated"),
    [
        (
            "quantize_config.json",
            "gptq-4-asym-32",
            {"bits": 4, "group_size": 32, "desc_act": False},
        ),
        ("quant_config.json", "awq-gemm", {"w_bit": 4, "q_group_size": 32, "version": "GEMM"}),
    ],
)
def test_settings_beside_the_config_are_read_and_are_provenance(file, case, stated, write):
    def change(known):
        known.settings = None

    folder = write(case, change)
    (folder / file).write_text(json.dumps(stated))
    checkpoint = open_checkpoint(folder)
    decoded = read_cases()[case].decoded
    np.testing.assert_array_equal(checkpoint.rows(WEIGHT).astype(np.float16), decoded)
    assert folder / file in checkpoint.files


def test_plain_tensors_beside_are_read_plain(write):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)

    def change(case):
        case.tensors["lm_head.weight"] = ("F32", [2, 3], values.tobytes())
        case.tensors["layer.bias"] = ("F32", [2], values[0, :2].tobytes())

    checkpoint = open_checkpoint(write("gptq-v2", change))
    assert set(checkpoint.tensors) == {WEIGHT, "layer.bias", "lm_head.weight"}
    np.testing.assert_array_equal(checkpoint.rows("lm_head.weight"), values)
    assert checkpoint.grid("lm_head.weight") is None


def test_scales_of_activations_are_left_out(write):
    def change(case):
        case.tensors["layer.input_scale"] = ("F32", [1], np.float32(2).tobytes())

    assert list(open_checkpoint(write("fp8-tensor", change)).tensors) == [WEIGHT]


def test_fp8_as_ministral_3_has_it_is_read(write):
    """One bfloat16 scale a tensor, named as those of blocks, and one of activations beside it."""

    def change(case):
        _, _, stored = case.tensors.pop("layer.weight_scale")
        scale = (np.frombuffer(stored, "<u4") >> 16).astype("<u2")
        case.tensors["layer.weight_scale_inv"] = ("BF16", [], scale.tobytes())
        case.tensors["layer.activation_scale"] = ("BF16", [], scale.tobytes())
        case.settings |= {"activation_scheme": "static", "weight_block_size": None}

    checkpoint = open_checkpoint(write("fp8-tensor", change))
    assert list(checkpoint.tensors) == [WEIGHT]
    known = read_cases()["fp8-tensor"].decoded.astype(np.float32)
    np.testing.assert_allclose(checkpoint.rows(WEIGHT), known, rtol=2**-7)


def test_an_artifact_says_nothing_of_how_weights_were_quantized_before(write, tmp_path_factory):
    folder, target = write("gptq-v2"), tmp_path_factory.mktemp("artifact")
    tiny.write_tokenizer(folder)
    open_checkpoint(folder).write_text_files(target)
    assert json.loads((target / "config.json").read_text()) == {"model_type": "llama"}


def floats(name, dtype, change):
    """Change a tensor's numbers in place."""

    def changed(case):
        values = case.array(f"layer.{name}", dtype)
        change(values)
        case.put(f"layer.{name}", values)

    return changed


def settings(**values):
    return lambda case: case.settings.update(values)


def scheme(**values):
    return lambda case: case.settings["config_groups"]["group_0"]["weights"].update(values)


def drop(name):
    return lambda case: case.tensors.pop(f"layer.{name}")


def reshape(name, *shape):
    def changed(case):
        dtype, _, raw = case.tensors[f"layer.{name}"]
        case.tensors[f"layer.{name}"] = dtype, list(shape), raw

    return changed


def state(**values):
    """Change a quant_state."""

    def changed(case):
        whole = json.loads(case.array(f"layer.{STATE}", "u1").tobytes()) | values
        case.put(f"layer.{STATE}", np.frombuffer(json.dumps(whole).encode(), np.uint8))

    return changed


def fill(value):
    return lambda array: array.fill(value)


NAN, ZERO = fill(np.nan), fill(0)
LIES = {
    "bits": ("gptq-v2", settings(bits=5), "bits = 5; only 2, 3, 4, 8"),
    "bits of text": ("gptq-v2", settings(bits="4"), "bits = '4'"),
    "other bits": ("gptq-v2", settings(bits=8), "scales is F16"),
    "group": ("gptq-v2", settings(group_size=128), "group_size 128"),
    "group 0": ("gptq-v2", settings(group_size=0), "group_size 0"),
    "other group": ("gptq-v2", settings(group_size=16), "scales is F16"),
    "format": ("gptq-v2", settings(checkpoint_format="marlin"), "the format marlin"),
    "marlin": ("gptq-v2", settings(is_marlin_format=True), "the format marlin"),
    "no scales": ("gptq-v2", drop("scales"), "scales is missing"),
    "no zeros": ("gptq-v2", drop("qzeros"), "qzeros is missing"),
    "no order": ("gptq-4-asym-act-32", drop("g_idx"), "g_idx is missing"),
    "dynamic": ("gptq-v2", settings(dynamic={"+:lay": {"bits": 8}}), "scales is F16"),
    "pattern": ("gptq-v2", settings(dynamic={"+:(": {"bits": 8}}), "no regular expression"),
    "table": ("gptq-v2", settings(dynamic=[1]), "its dynamic is no object"),
    "awq bits": ("awq-gemm", settings(bits=8), "bits = 8; only 4"),
    "awq format": ("awq-gemm", settings(version="llm-awq"), "the format llm-awq"),
    "awq group": ("awq-gemm", settings(group_size=48), "group_size 48 does not divide 64"),
    "awq shape": ("awq-gemm", reshape("qzeros", 4, 2), "qzeros is I32"),
    "gemv as gemm": ("awq-gemv", settings(version="gemm"), "in place of"),
    "gemm as gemv": ("awq-gemm", settings(version="gemv"), "in place of"),
    "ct ignored": ("ct-pack-8", settings(ignore=["re:lay.*"]), "it is ignored, but packed"),
    "ct sparse": ("ct-pack-8", settings(sparsity_config={"format": "marlin-24"}), "marlin-24"),
    "ct rotated": ("ct-pack-8", settings(transform_config={"config_groups": {"a": {}}}), "rotated"),
    "ct status": ("ct-pack-8", settings(quantization_status="frozen"), "= frozen"),
    "ct no group": ("ct-pack-8", settings(config_groups={}), "no group of config_groups"),
    "ct bits": ("ct-pack-8", scheme(num_bits=4), "weight_shape"),
    "ct odd bits": ("ct-pack-8", scheme(num_bits=3), "num_bits = 3; only 2, 4, 8"),
    "ct group": ("ct-pack-8", scheme(group_size=48), "does not divide"),
    "ct strategy": ("ct-int8", scheme(strategy="token"), "the strategy token"),
    "ct other strategy": ("ct-int8", scheme(strategy="tensor"), "weight_scale is BF16"),
    "ct zero": ("ct-int8", scheme(symmetric=False), "weight_zero_point is missing"),
    "ct order": ("ct-pack-8", scheme(actorder="group"), "weight_g_idx is missing"),
    "ct no block": ("ct-fp8-block", scheme(block_structure=None), "block_structure is missing"),
    "ct odd block": ("ct-fp8-block", scheme(block_structure=[16]), "no pair of sizes"),
    "ct block": ("ct-fp8-block", scheme(block_structure=[8, 32]), "weight_scale is"),
    "fp8 block": ("fp8-block", settings(weight_block_size=[64, 64]), "weight_scale_inv is F32"),
    "fp8 sizes": ("fp8-block", settings(weight_block_size=[0, 1]), "no pair of sizes"),
    "fp8 no scale": ("fp8-block", drop("weight_scale_inv"), "weight_scale_inv is missing"),
    "nf4 state": ("bnb-nf4", state(blocksize=65), "its blocksize is 65"),
    "nf4 shape": ("bnb-nf4", state(shape=[32, 32]), "does not hold 32 x 32 codes"),
    "nf4 no shape": ("bnb-nf4", state(shape=None), "its shape is None"),
    "nf4 offset": ("bnb-nf4-nested", state(nested_offset=None), "its nested_offset is None"),
    "nf4 garbled": ("bnb-nf4", floats(STATE, "u1", fill(7)), "config.json"),
    "nf4 scales": ("bnb-nf4", reshape("weight.absmax", 4, 8), "absmax is F32"),
    "nf4 map": ("bnb-nf4", floats("weight.quant_map", "<f4", ZERO), "quant_map is not that"),
    "int8 tiles": (
        "bnb-int8",
        lambda case: case.tensors.update({"layer.weight_format": ("U8", [], b"\2")}),
        "tiles in place of rows",
    ),
    "mxfp4 scales": ("mxfp4", reshape("weight_scales", 16, 4), "weight_scales is U8"),
}
UNREADABLE = {
    "gptq": ("gptq-v2", floats("scales", "<f2", NAN), "scales holds values that are no numbers"),
    "gptq zero": ("gptq-v2", floats("scales", "<f2", ZERO), "a scale of 0 stands with codes"),
    "gptq order": ("gptq-4-asym-act-32", floats("g_idx", "<i4", fill(2)), "in group 2 of 2"),
    "awq": ("awq-gemm", floats("scales", "<f2", fill(np.inf)), "no numbers"),
    "ct": ("ct-pack-4-sym", floats("weight_scale", "<f4", NAN), "no numbers"),
    "fp8": ("fp8-block", floats("weight_scale_inv", "<f4", NAN), "no numbers"),
    "fp8 weight": ("fp8-tensor", floats("weight", "u1", fill(0x7F)), "weight holds values"),
    "nf4": ("bnb-nf4", floats("weight.absmax", "<f4", NAN), "no numbers"),
    "mxfp4": ("mxfp4", floats("weight_scales", "u1", fill(255)), "no numbers"),
    "nvfp4": ("ct-nvfp4", floats("weight_global_scale", "<f4", ZERO), "no number other than 0"),
}


@pytest.mark.parametrize(("case", "change", "message"), LIES.values(), ids=LIES)
def test_what_contradicts_itself_is_refused_when_it_is_opened(case, change, message, write):
    folder = write(case, change)
    with pytest.raises(CheckpointError, match=message) as refused:
        open_checkpoint(folder)
    assert refused.value.fix
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("case", "change", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_scales_that_mean_nothing_are_refused_when_they_are_read(case, change, message, write):
    checkpoint = open_checkpoint(write(case, change))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.rows(WEIGHT)


def test_a_group_of_zeros_may_have_the_scale_0(write):
    def change(case):
        scales = case.array("layer.scales", "<f2")
        codes, zeros = case.array("layer.qweight", "<u4"), case.array("layer.qzeros", "<u4")
        scales[0, 3] = 0
        codes[:4, 3] = (zeros[0, 0] >> 12 & 15) * np.uint32(0x11111111)
        case.put("layer.scales", scales)
        case.put("layer.qweight", codes)

    assert not open_checkpoint(write("gptq-v2", change)).rows(WEIGHT)[3, :32].any()


def test_the_most_exact_target_says_how_a_layer_is_packed(write):
    """Its own name before a pattern, a pattern before the kind of layer."""

    def change(case):
        right = case.settings["config_groups"].pop("group_0")
        wrong = {"targets": ["re:.*"], "weights": right["weights"] | {"num_bits": 4}}
        right["targets"] = ["layer"]
        embedding = {"targets": ["Embedding"], "weights": right["weights"] | {"num_bits": 2}}
        case.settings["config_groups"] = {"a": embedding, "b": wrong, "c": right}

    decoded = read_cases()["ct-pack-8"].decoded
    found = open_checkpoint(write("ct-pack-8", change)).rows(WEIGHT)
    np.testing.assert_array_equal(rounded(found, "BF16"), decoded)


def test_a_layer_of_its_own_settings_is_read_by_them(write):
    """GPTQModel's dynamic settings; "-:" names layers that were left alone."""

    def change(case):
        case.settings |= {"bits": 4, "group_size": 64, "dynamic": {"-:other": {}}}
        case.settings["dynamic"] |= {"+:^lay": {"bits": 8, "group_size": 32}}

    decoded = read_cases()["gptq-8-sym-32"].decoded
    found = open_checkpoint(write("gptq-8-sym-32", change)).rows(WEIGHT)
    np.testing.assert_array_equal(rounded(found, "F16"), decoded)
