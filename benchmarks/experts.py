"""A token's processor time by how many experts are active, of as many in all.

    python benchmarks/experts.py WORK [--runtime onnx] [--experts 64] [--blocks 4]
                                 [--active 1 2 4 8 16 32] [--pieces 64 128 256 512]

Makes a checkpoint of Qwen3-MoE's shape (2,048 wide, experts of 768) of random weights, converts it
to int4 and times a token for each number. The time has to grow with the experts that are read: a
token that read all would take as long whatever the number. With --pieces it times a prompt of 1,024
tokens instead, which ONNX Runtime computes so many at a time: an expert is shown those of a piece
that chose it, and its weights are read anew for each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from phi3_size_checkpoint import SEED, write_shard, write_tokenizer

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.runtimes.base import Decoding
from aipc.runtimes.onnx.batch_engine import BatchEngine
from aipc.runtimes.onnx.folder import open_folder
from aipc.runtimes.onnx.provider import find_provider, read_properties
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.runtimes.openvino.engine import OpenVINORuntime

HIDDEN, WIDTH, VOCABULARY = 2048, 768, 32064
CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": 6144,
    "moe_intermediate_size": WIDTH,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "max_position_embeddings": 4096,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 32000,
    "torch_dtype": "bfloat16",
}
RECIPE = Recipe("int4", group_size=128, quantizer="rtn")
RUNTIMES = {
    "onnx": (plan_onnx, ONNXRuntime, {"intra_op_num_threads": "1"}),
    "openvino": (plan_openvino, OpenVINORuntime, {"INFERENCE_NUM_THREADS": "1"}),
}
PROMPT, TOKENS, WARM = list(range(300, 316)), 48, 8
LONG = np.random.default_rng(SEED).integers(300, 30_000, 1024)


def shapes(experts: int, blocks: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for index in range(blocks):
        name = f"model.layers.{index}."
        found |= {f"{name}{part}.weight": (size,) for part, size in norms().items()}
        for part, rows in {"q": 2048, "k": 256, "v": 256, "o": HIDDEN}.items():
            found[f"{name}self_attn.{part}_proj.weight"] = (rows, HIDDEN)
        found[name + "mlp.gate.weight"] = (experts, HIDDEN)
        for expert in range(experts):
            for part in ("gate", "up"):
                found[f"{name}mlp.experts.{expert}.{part}_proj.weight"] = (WIDTH, HIDDEN)
            found[f"{name}mlp.experts.{expert}.down_proj.weight"] = (HIDDEN, WIDTH)
    return found | {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}


def norms() -> dict[str, int]:
    of_hidden = dict.fromkeys(("input_layernorm", "post_attention_layernorm"), HIDDEN)
    return of_hidden | dict.fromkeys(("self_attn.q_norm", "self_attn.k_norm"), 128)


def write_checkpoint(folder: Path, experts: int, blocks: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.random.default_rng(SEED).standard_normal(2**27, np.float32) * np.float32(0.02)
    noise = (normal.view(np.uint32) >> 16).astype(np.uint16)
    write_shard(folder / "model.safetensors", shapes(experts, blocks), noise)
    write_tokenizer(folder)


def milliseconds(folder: Path, runtime: str) -> float:
    """Of a token, the processor's, on one thread: what else the machine does adds little to it."""
    _, runtime_class, properties = RUNTIMES[runtime]
    with contextlib.closing(runtime_class().open(folder, "cpu", properties)) as engine:
        ends = [time.process_time() for _ in engine.start(PROMPT, Decoding(TOKENS), frozenset())]
    return 1000 * statistics.median(np.diff(ends)[WARM:])


def prompt_milliseconds(folder: Path, piece: int) -> float:
    """Of a token of a long prompt, as `milliseconds`; the least of two prompts, the second warm."""
    opened, provider = open_folder(folder), replace(find_provider("cpu", None), piece=piece)
    _, _, properties = RUNTIMES["onnx"]
    settings, taken = read_properties(properties, provider), []
    engine = BatchEngine(opened, opened.graph, provider, settings, properties, None)
    with contextlib.closing(engine):
        for shift in range(2):
            start = time.process_time()
            list(engine.start((LONG + shift).tolist(), Decoding(1), frozenset()))
            taken.append(time.process_time() - start)
    return 1000 * min(taken) / len(LONG)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--runtime", choices=RUNTIMES, default="onnx")
    parser.add_argument("--experts", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--active", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--pieces", type=int, nargs="+", default=[])
    asked = parser.parse_args()
    source = asked.work / f"{asked.experts}x{asked.blocks}"
    if not (source / "model.safetensors").exists():
        write_checkpoint(source, asked.experts, asked.blocks)
    all_bytes = asked.blocks * asked.experts * 3 * HIDDEN * WIDTH // 2
    print(f"{asked.runtime}: {asked.experts} experts a block, {all_bytes / 1e9:.2f} GB in all")
    for active in asked.active:
        sizes = {"num_experts": asked.experts, "num_experts_per_tok": active}
        config = CONFIG | sizes | {"num_hidden_layers": asked.blocks}
        (source / "config.json").write_text(json.dumps(config))
        folder = asked.work / "artifact"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with open_checkpoint(source) as checkpoint:
            RUNTIMES[asked.runtime][0](checkpoint, RECIPE).write(folder)
        for piece in asked.pieces:
            taken = prompt_milliseconds(folder, piece)
            print(f"{active:3} active, {piece:4} at a time: {taken:7.2f} ms", flush=True)
        if asked.pieces:
            continue
        read = all_bytes * active / asked.experts / 1e6
        print(f"{active:3} active, {read:6.0f} MB: {milliseconds(folder, asked.runtime):7.1f} ms")


if __name__ == "__main__":
    main()
