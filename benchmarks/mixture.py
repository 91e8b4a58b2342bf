"""Convert a checkpoint of Mixtral's form, 8 experts of a billion weights, and say what it took.

    python benchmarks/mixture.py WORK [--layers 16] [--recipe "--weight-format int4 ..."]

WORK gets the checkpoint (13.5 GB of bfloat16, random weights, the names of Mixtral on the hub) and
the artifact (3.6 GB).  The checkpoint is made once.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from phi3_size_checkpoint import CONFIG, NOISE, SEED, write_shard, write_tokenizer
from process import measure

HIDDEN, WIDTH, EXPERTS, VOCABULARY, KEYS = 2048, 8192, 8, 32064, 512
MIXTRAL = {
    "architectures": ["MixtralForCausalLM"],
    "model_type": "mixtral",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDTH,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "num_local_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "sliding_window": None,
}
RECIPE = "--weight-format int4 --group-size 128"


def layer_shapes(layer: int) -> dict[str, tuple[int, ...]]:
    name = f"model.layers.{layer}."
    norms = ("input_layernorm", "post_attention_layernorm")
    found: dict[str, tuple[int, ...]] = {f"{name}{norm}.weight": (HIDDEN,) for norm in norms}
    for part, rows in (("q", HIDDEN), ("k", KEYS), ("v", KEYS), ("o", HIDDEN)):
        found[f"{name}self_attn.{part}_proj.weight"] = (rows, HIDDEN)
    found[f"{name}block_sparse_moe.gate.weight"] = (EXPERTS, HIDDEN)
    for expert in range(EXPERTS):
        place = f"{name}block_sparse_moe.experts.{expert}."
        found |= {f"{place}{part}.weight": (WIDTH, HIDDEN) for part in ("w1", "w3")}
        found[f"{place}w2.weight"] = (HIDDEN, WIDTH)
    return found


def write_checkpoint(folder: Path, layers: int) -> None:
    """A shard a layer, and one for the rest."""
    folder.mkdir(parents=True)
    normal = np.random.default_rng(SEED).standard_normal(NOISE, np.float32) * np.float32(0.02)
    noise = (normal.view(np.uint32) >> 16).astype(np.uint16)
    table = (VOCABULARY, HIDDEN)
    outer = {"model.embed_tokens.weight": table, "lm_head.weight": table}
    shards = [outer | {"model.norm.weight": (HIDDEN,)}, *map(layer_shapes, range(layers))]
    index = {}
    for number, members in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_shard(folder / name, members, noise)
        index |= dict.fromkeys(members, name)
    listing = {"metadata": {}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(listing))
    config = CONFIG | MIXTRAL | {"num_hidden_layers": layers}
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--recipe", default=RECIPE)
    asked = parser.parse_args()
    source, target = asked.work / f"mixtral-{asked.layers}", asked.work / "artifact"
    if not (source / "tokenizer_config.json").exists():
        shutil.rmtree(source, ignore_errors=True)
        write_checkpoint(source, asked.layers)
    shutil.rmtree(target, ignore_errors=True)
    options = [*asked.recipe.split(), "-o", str(target)]
    command = [sys.executable, "-m", "aipc", "convert", str(source), *options]
    result = measure(command, asked.work / "convert.log")
    size = (target / "openvino_model.bin").stat().st_size
    print(f"{result.seconds:.0f} s, {result.peak_bytes / 1e9:.2f} GB of memory at most, "
          f"{size / 1e9:.2f} GB of weights")  # fmt: skip


if __name__ == "__main__":
    main()
