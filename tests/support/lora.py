"""LoRA adapters as peft writes them, of random numbers, for the networks of `tiny`.

``CASES`` has one of every kind: the tiny network that it is for, its adapter_config.json, and the
parts of its tensors.  What peft makes of them is kept in ``tests/checkpoint/adapters/peft.npz``.
"""

from __future__ import annotations

import json
import re

import gguf_networks
import numpy as np
import tiny

IDS = [3, 9, 200, 77, 31, 5, 140, 66, 12, 250]
ATTENTION = tuple(f"self_attn.{part}_proj" for part in "qkvo")
FEED_FORWARD = tuple(f"mlp.{part}_proj" for part in ("gate", "up", "down"))
ALL = (*ATTENTION, *FEED_FORWARD)
FUSED = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"


def layers(*parts):
    return [f"model.layers.{layer}.{part}" for layer in range(2) for part in parts]


CASES = {
    "plain": ("llama-gqa", {}, layers("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")),
    "all": ("llama-gqa", {}, layers(*ALL)),
    "rslora": ("llama-gqa", {"use_rslora": True}, layers(*ALL)),
    "dora": ("llama-gqa", {"use_dora": True}, layers(*ALL)),
    "patterns": (
        "llama-gqa",
        {
            "rank_pattern": {"layers.1.self_attn.q_proj": 2, "^model.layers.0.self_attn.o_proj": 3},
            "alpha_pattern": {"o_proj": 32, r"layers\.1\.mlp\..*": 2},
        },
        layers("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj"),
    ),
    "regex": (
        "llama-gqa",
        {"target_modules": r".*\.layers\.[01]\.mlp\.(gate|up)_proj", "fan_in_fan_out": True},
        layers("mlp.gate_proj", "mlp.up_proj"),
    ),
    "bias": (
        "qwen2",
        {"bias": "all", "biases": layers(*ATTENTION[:3])},
        layers("self_attn.q_proj"),
    ),
    "lora-bias": ("qwen2", {"lora_bias": True}, layers("self_attn.q_proj", "self_attn.v_proj")),
    "whole": (
        "llama-gqa",
        {"modules_to_save": [HEAD, "embed_tokens", "input_layernorm"]},
        layers("self_attn.q_proj"),
    ),
    "embedding": ("llama-gqa", {}, [*layers("self_attn.q_proj"), EMBEDDING, HEAD]),
    "tied-embedding": ("llama-mha-tied", {}, [*layers("self_attn.q_proj"), EMBEDDING]),
    "tied-head": ("llama-mha-tied", {"modules_to_save": [HEAD]}, layers("self_attn.q_proj")),
    "fused": ("phi3", {}, layers(*FUSED)),
    "fused-dora": ("phi3", {"use_dora": True}, layers(*FUSED)),
    "gemma": ("gemma", {}, layers(*ALL)),
}


def base_config(name):
    """Of the case's network, as transformers takes it too."""
    config = tiny.CONFIGS[CASES[name][0]]
    if config["model_type"] == "gemma":
        return config | {"head_dim": 16}
    return config | ({"pad_token_id": 0} if config["model_type"] == "phi3" else {})


def write_base(folder, name):
    config = base_config(name)
    return tiny.write_checkpoint(folder, config, tiny.random_tensors(config))


def stated(name):
    """The case's adapter_config.json."""
    _, options, modules = CASES[name]
    options = {key: value for key, value in options.items() if key != "biases"}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": sorted({module.rpartition(".")[2] for module in modules}),
        **options,
    }


def tensors(name, base):
    """The case's tensors by peft's names, float32; ``base`` are those of its network."""
    rng = np.random.default_rng(3)
    config = stated(name)

    def random(*shape):
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)

    found = {}
    for module in CASES[name][2]:
        rows, columns = base.get(f"{module}.weight", base[f"{EMBEDDING}.weight"]).shape
        rank, where = rank_of(config, module), f"base_model.model.{module}"
        if module == EMBEDDING:
            found[f"{where}.lora_embedding_A"] = random(rank, rows)
            found[f"{where}.lora_embedding_B"] = random(columns, rank)
            continue
        found[f"{where}.lora_A.weight"] = random(rank, columns)
        found[f"{where}.lora_B.weight"] = random(rows, rank)
        if config.get("lora_bias"):
            found[f"{where}.lora_B.bias"] = random(rows)
        if config.get("use_dora"):
            norms = np.linalg.norm(base[f"{module}.weight"], axis=1)
            found[f"{where}.lora_magnitude_vector"] = norms * (1 + random(rows))
    for module in CASES[name][1].get("biases", ()):
        own = "base_layer." if module in CASES[name][2] else ""
        found[f"base_model.model.{module}.{own}bias"] = random(*base[f"{module}.bias"].shape)
    for module in whole_modules(config, base):
        stored = base.get(f"{module}.weight", base[f"{EMBEDDING}.weight"])
        found[f"base_model.model.{module}.weight"] = stored + random(*stored.shape)
    return found


def whole_modules(config, base):
    modules = {name.removesuffix(".weight") for name in base} | {HEAD}
    return sorted(
        module
        for module in modules
        if any(module.endswith(one) for one in config.get("modules_to_save", ()))
    )


def rank_of(config, module):
    return matched(config.get("rank_pattern", {}), module, config["r"])


def matched(pattern, module, usual):
    """As peft's ``get_pattern_key`` finds it."""
    return next(
        (value for key, value in pattern.items() if re.match(rf"(.*\.)?({key})$", module)), usual
    )


def write_adapter(folder, config, values):
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(values, folder / "adapter_model.safetensors")
    return folder


def write_case(folder, name):
    """The case's adapter."""
    return write_adapter(
        folder, stated(name), tensors(name, tiny.random_tensors(base_config(name)))
    )


def write_gguf(path, name, **stated_here):
    """The case's adapter as llama.cpp's convert_lora_to_gguf.py writes it.

    ``stated_here`` are further texts of its metadata, "__" for a dot.
    """
    values = tensors(name, tiny.random_tensors(base_config(name)))
    return write_gguf_tensors(path, base_config(name), values, stated(name), stated_here)


def write_gguf_tensors(path, config, values, stated, texts=None):
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map

    architecture = config["model_type"]
    names = get_tensor_name_map(MODEL_ARCH[architecture.upper()], config["num_hidden_layers"])
    writer = GGUFWriter(path, architecture)
    metadata = {"general__type": "adapter", "adapter__type": "lora", **(texts or {})}
    for key, text in metadata.items():
        writer.add_string(key.replace("__", "."), text)
    writer.add_float32("adapter.lora.alpha", stated["lora_alpha"])
    for name, factor in values.items():
        module, _, part = name.removeprefix("base_model.model.").partition(".lora_")
        kind = part.removeprefix("embedding_")[0]
        kept = np.ascontiguousarray(factor.T) if part == "embedding_A" else factor
        if kind == "B":
            kept = gguf_networks.as_stored(architecture, config, f"{module}.weight", factor)
        stored = names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        writer.add_tensor(f"{stored}.lora_{kind.lower()}", kept)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def merged(name):
    """The case's network with its adapter merged, computed by the definitions: float32 by name."""
    base = tiny.random_tensors(base_config(name))
    config, values = stated(name), tensors(name, base)
    result = dict(base)
    result.setdefault(f"{HEAD}.weight", base[f"{EMBEDDING}.weight"])
    for module in whole_modules(config, base):
        result[f"{module}.weight"] = values[f"base_model.model.{module}.weight"]
    for module in CASES[name][2]:
        where, rank = f"base_model.model.{module}", rank_of(config, module)
        alpha = matched(config.get("alpha_pattern", {}), module, config["lora_alpha"])
        scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
        if module == EMBEDDING:
            a, b = values[f"{where}.lora_embedding_A"], values[f"{where}.lora_embedding_B"]
            result[f"{module}.weight"] = result[f"{module}.weight"] + scale * (b @ a).T
            continue
        a, b = values[f"{where}.lora_A.weight"], values[f"{where}.lora_B.weight"]
        changed = result[f"{module}.weight"] + scale * (b @ a)
        if config.get("use_dora"):
            magnitude = values[f"{where}.lora_magnitude_vector"]
            changed = changed * (magnitude / np.linalg.norm(changed, axis=1))[:, None]
        result[f"{module}.weight"] = changed
        if config.get("lora_bias"):
            bias = values[f"{where}.lora_B.bias"]
            result[f"{module}.bias"] = result[f"{module}.bias"] + scale * bias
    for key, value in values.items():
        if key.endswith(".bias") and "lora_B" not in key:
            plain = key.removeprefix("base_model.model.").replace(".base_layer", "")
            result[plain] = value
    return result
