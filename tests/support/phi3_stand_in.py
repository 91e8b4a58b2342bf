"""The small real model as a checkpoint of Phi-3's architecture, kept in a store as phi-3-mini."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from aipc.artifact import manifest
from aipc.checkpoint import open_checkpoint
from aipc.models import names
from aipc.models.source import describe
from aipc.models.store import Store

FUSED = {
    "self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
}


def keep_stand_in(store: Store, gguf: Path) -> None:
    """What `aipc pull phi-3-mini` would keep, with other weights.

    Phi-3's network is Llama's with query, key and value in one matrix, and gate and up in another.
    """
    source = names.resolve("phi-3-mini")
    folder = store.path("checkpoint", source.name)
    folder.mkdir(parents=True)
    with open_checkpoint(gguf) as checkpoint:
        checkpoint.write_text_files(folder)
        config = checkpoint.config | {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}
        tensors = {name: checkpoint.rows(name) for name in checkpoint.tensors}
    for layer in range(config["num_hidden_layers"]):
        for fused, parts in FUSED.items():
            rows = [tensors.pop(f"model.layers.{layer}.{part}.weight") for part in parts]
            tensors[f"model.layers.{layer}.{fused}.weight"] = np.concatenate(rows)
    (folder / "config.json").write_text(json.dumps(config))
    # as the catalogue has it for these weights: without it they loop on some runtimes
    generation = folder / "generation_config.json"
    stated = json.loads(generation.read_text()) if generation.is_file() else {}
    generation.write_text(json.dumps(stated | {"repetition_penalty": 1.05}))
    halves = {name: values.astype(np.float16) for name, values in tensors.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    manifest.write(folder, "checkpoint", source.name, {"source": describe(source)})
