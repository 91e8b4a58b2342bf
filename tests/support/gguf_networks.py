"""Write a checkpoint's config and tensors as llama.cpp's converter writes them to a GGUF file.

After its ``conversion`` package; llama.cpp answered twenty such files of tiny networks as
transformers answers the checkpoints (40 or 60 greedy tokens each, node-llama-cpp 3.22).
"""

from __future__ import annotations

import numpy as np

ARCHITECTURES = {
    "gemma3_text": "gemma3",
    "gemma4_text": "gemma4",
    "gpt_oss": "gpt-oss",
    "mixtral": "llama",
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
    "ministral3": "mistral3",
    "olmo3": "olmo2",
}
"""By model_type; else they are called the same, and Mistral is a llama."""
PERMUTED = {"llama", "mistral3", "granite", "granitemoe", "smollm3"}
KEYS = {
    "num_hidden_layers": "block_count",
    "max_position_embeddings": "context_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "head_dim": "attention.key_length",
    "sliding_window": "attention.sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "embedding_multiplier": "embedding_scale",
    "attention_multiplier": "attention.scale",
    "residual_multiplier": "residual_scale",
    "logits_scaling": "logit_scale",
    "num_local_experts": "expert_count",
    "num_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
}
ROPE_KEYS = {
    "rope_theta": "rope.freq_base",
    "factor": "rope.scaling.factor",
    "original_max_position_embeddings": "rope.scaling.original_context_length",
    "beta_fast": "rope.scaling.yarn_beta_fast",
    "beta_slow": "rope.scaling.yarn_beta_slow",
    "attention_factor": "rope.scaling.yarn_attn_factor",
    "mscale_all_dim": "rope.scaling.yarn_log_multiplier",
    "llama_4_scaling_beta": "attention.temperature_scale",
}


def plain(name, weights):
    """What a file stores of a tensor: its name, and float weights or, with a type, blocks."""
    yield name, weights, None


def one_by_one(name, weights):
    """As files were written until April 2024, an expert a tensor."""
    if "_exps." not in name:
        yield name, weights, None
        return
    for index, one in enumerate(weights):
        yield name.replace("_exps.", f".{index}."), one, None


def experts_in_mxfp4(name, weights):
    """As ggml-org publishes gpt-oss; the other matrices in 8 bits."""
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType.Q8_0
    if "_exps.weight" in name:
        kind = GGMLQuantizationType.MXFP4
    elif weights.ndim < 2 or "_exps." in name or "_inp." in name:
        yield name, weights, None
        return
    yield name, quants.quantize(weights, kind), kind


def write_gguf(path, config, tensors, store=plain):
    from gguf import MODEL_ARCH_NAMES, GGUFWriter, get_tensor_name_map

    kind = config["model_type"]
    architecture = "llama" if kind == "mistral" else ARCHITECTURES.get(kind, kind)
    writer = GGUFWriter(path, architecture)
    for key, value in keys(config).items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add = writer.add_string if isinstance(value, str) else add
        add = writer.add_array if isinstance(value, list) else add
        add(f"{architecture}.{key}", value)
    if architecture == "gemma4":
        add_gemma4(writer, config)
    arch = next(one for one, called in MODEL_ARCH_NAMES.items() if called == architecture)
    names = get_tensor_name_map(arch, config["num_hidden_layers"])
    if kind == "phimoe":
        for name in ("long", "short"):
            factors = np.array(config["rope_parameters"][f"{name}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{name}.weight", factors)
    for name, weights in unstacked(kind, tensors):
        suffixed = f"{name}.weight" if name.endswith(("layer_scalar", "sinks")) else name
        stored = names.get_name(suffixed, try_suffixes=(".weight", ".bias"))
        whole = as_stored(architecture, config, name, weights)
        for own, values, raw_dtype in store(stored, whole):
            writer.add_tensor(own, values, raw_dtype=raw_dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def unstacked(kind, tensors):
    """Gates and ups apart, all by rows, a matrix of one row as a vector."""
    for given, stored in tensors.items():
        name = given.replace(".block_sparse_moe.", ".mlp.")
        stem, _, part = name.rpartition(".")
        if not stem.endswith(".experts"):
            is_row = name.endswith("shared_expert_gate.weight")
            yield name.replace(".mlp.router.", ".mlp.gate."), stored[0] if is_row else stored
            continue
        part, bias = part.removesuffix("_bias"), part.endswith("_bias")
        ending = "bias" if bias else "weight"
        is_turned = kind == "gpt_oss" and not bias
        weights = np.ascontiguousarray(stored.transpose(0, 2, 1)) if is_turned else stored
        if part == "down_proj":
            yield f"{stem}.down_proj.{ending}", weights
            continue
        half = weights.shape[1] // 2
        is_alternate = kind == "gpt_oss"
        gate, up = (weights[:, 0::2], weights[:, 1::2]) if is_alternate else (
            weights[:, :half], weights[:, half:])  # fmt: skip
        yield f"{stem}.gate_proj.{ending}", np.ascontiguousarray(gate)
        yield f"{stem}.up_proj.{ending}", np.ascontiguousarray(up)


def keys(config):
    rope = config["rope_parameters"]
    full = rope.get("full_attention", rope)
    stated = {KEYS[name]: config[name] for name in KEYS if config.get(name) is not None}
    if config["model_type"] == "gemma4_text":
        for name in ("intermediate_size", "num_key_value_heads", "head_dim"):
            del stated[KEYS[name]]
    if config.get("head_dim") and config["model_type"] != "gemma4_text":
        stated["attention.value_length"] = config["head_dim"]
    stated |= {ROPE_KEYS[name]: full[name] for name in ROPE_KEYS if full.get(name) is not None}
    if full["rope_type"] not in {"default", "proportional"}:
        stated["rope.scaling.type"] = full["rope_type"]
    if "sliding_attention" in rope:
        stated["rope.freq_base_swa"] = rope["sliding_attention"]["rope_theta"]
        windows = [kind == "sliding_attention" for kind in config["layer_types"]]
        stated["attention.sliding_window_pattern"] = windows
    return stated


def add_gemma4(writer, config):
    """What differs by layer; its file has lists even where these are all alike."""
    layers, shared = config["num_hidden_layers"], config["num_kv_shared_layers"]
    own, full = config["per_layer_config"], config["layer_types"].index("full_attention")
    head = own[str(full)]["head_dim"]
    width = 2 if config["use_double_wide_mlp"] else 1
    wide = [config["intermediate_size"] * (width if i >= layers - shared else 1)
            for i in range(layers)]  # fmt: skip
    kv = [own.get(str(i), {}).get("num_key_value_heads", config["num_key_value_heads"])
          for i in range(layers)]  # fmt: skip
    writer.add_feed_forward_length(wide)
    writer.add_head_count_kv(kv)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_key_length_swa(config["head_dim"])
    writer.add_value_length_swa(config["head_dim"])
    writer.add_rope_dimension_count(head)
    writer.add_rope_dimension_count_swa(config["head_dim"])
    writer.add_shared_kv_layers(shared)
    writer.add_embedding_length_per_layer_input(config["hidden_size_per_layer_input"])
    turning = int(head * config["rope_parameters"]["full_attention"]["partial_rotary_factor"] / 2)
    still = [1e30] * (head // 2 - turning)
    writer.add_tensor("rope_freqs.weight", np.array([1.0] * turning + still, np.float32))


def as_stored(architecture, config, name, weights):
    if architecture in {"gemma", "gemma2", "gemma3"} and name.endswith("norm.weight"):
        return weights + np.float32(1)
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    part = name.split(".")[-2]
    if architecture not in PERMUTED or part not in heads:
        return weights
    halves = weights.reshape(config[heads[part]], 2, -1, *weights.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weights.shape))
