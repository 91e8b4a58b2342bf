"""Write the small real model as float checkpoints: as it is, and turned off its 4-bit grid.

    python benchmarks/turned_checkpoint.py GGUF FOLDER

The published weights lie on a 4-bit grid (groups of 32), which flatters every quantizer that uses
one like it.  FOLDER/float holds them in float16.  FOLDER/turned holds the same network with its
residual stream rotated by a fixed orthogonal matrix: embedding, head and every matrix beside the
stream take the rotation in, norms keep gains, and the answers are the same to rounding, but no
weight lies on the old grid any more (cf. SliceGPT, Ashkboos et al. 2024, arXiv 2401.15024).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from aipc.checkpoint import open_checkpoint

SEED, ANGLE = 1, 0.25
EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


def rotation(width: int) -> np.ndarray:
    """An orthogonal matrix a moderate way from the identity (a Cayley transform)."""
    skew = np.random.default_rng(SEED).standard_normal((width, width)) / np.sqrt(width)
    skew = (skew - skew.T) / np.sqrt(2)
    return np.linalg.solve(np.eye(width) + ANGLE / 2 * skew, np.eye(width) - ANGLE / 2 * skew)


def turn(tensors: dict[str, np.ndarray], layers: int) -> dict[str, np.ndarray]:
    """The same function with every matrix turned; norm gains stay positive and not tiny."""
    turned = {name: value.astype(np.float64) for name, value in tensors.items()}
    matrix = rotation(turned[NORM].size)
    gains: dict[str, np.ndarray] = {}

    def read_from_stream(name: str, norm: str) -> None:
        gain = turned[norm]
        kept = np.maximum(np.abs(gain), 0.3 * np.median(np.abs(gain)))
        gains[norm] = kept
        turned[name] = ((turned[name] * gain) @ matrix) / kept

    turned[HEAD] = turned[EMBEDDING].copy()
    read_from_stream(HEAD, NORM)
    turned[EMBEDDING] = turned[EMBEDDING] @ matrix
    for layer in range(layers):
        name = f"model.layers.{layer}."
        for part in "qkv":
            read_from_stream(f"{name}self_attn.{part}_proj.weight", f"{name}input_layernorm.weight")
        for part in ("gate", "up"):
            norm = f"{name}post_attention_layernorm.weight"
            read_from_stream(f"{name}mlp.{part}_proj.weight", norm)
        for part in ("self_attn.o_proj", "mlp.down_proj"):
            turned[f"{name}{part}.weight"] = matrix.T @ turned[f"{name}{part}.weight"]
    return turned | gains


def write(folder: Path, gguf: Path, tensors: dict[str, np.ndarray], *, tied: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open_checkpoint(gguf) as checkpoint:
        checkpoint.write_text_files(folder)
        config = {**checkpoint.config, "tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(config))
    halves = {name: np.ascontiguousarray(v.astype(np.float16)) for name, v in tensors.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    with open_checkpoint(asked.gguf) as checkpoint:
        tensors = {name: checkpoint.rows(name) for name in checkpoint.tensors}
        layers = int(checkpoint.config["num_hidden_layers"])
    write(asked.folder / "float", asked.gguf, tensors, tied=True)
    write(asked.folder / "turned", asked.gguf, turn(tensors, layers), tied=False)
    print(asked.folder)


if __name__ == "__main__":
    main()
