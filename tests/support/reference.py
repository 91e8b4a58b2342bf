"""Llama, Phi-3 and their kin in plain numpy, float32: what every graph is compared with.

Written from the papers and from the checkpoints' documentation, on purpose without a line of
aipc: whole sequences at once, no cache, no cleverness.
"""

from __future__ import annotations

import math

import numpy as np


def logits(config, tensors, ids):
    """float32 [tokens, vocabulary] for the token ids of one sequence."""
    x = tensors["model.embed_tokens.weight"][ids]
    if config["model_type"] == "gemma":
        x = x * np.float32(math.sqrt(config["hidden_size"]))
    cosine, sine = rotation(config, len(ids))
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        normed = norm(x, tensors[name + "input_layernorm.weight"], config)
        x = x + attention(config, tensors, name + "self_attn.", normed, cosine, sine)
        normed = norm(x, tensors[name + "post_attention_layernorm.weight"], config)
        x = x + feed_forward(config, tensors, name + "mlp.", normed)
    x = norm(x, tensors["model.norm.weight"], config)
    head = "model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"
    return x @ tensors[head].T


def norm(x, gain, config):
    gain = gain + 1 if config["model_type"] == "gemma" else gain
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + config["rms_norm_eps"]) * gain


def feed_forward(config, tensors, name, x):
    if name + "gate_up_proj.weight" in tensors:
        gate, up = np.split(x @ tensors[name + "gate_up_proj.weight"].T, 2, axis=-1)
    else:
        gate = x @ tensors[name + "gate_proj.weight"].T
        up = x @ tensors[name + "up_proj.weight"].T
    if config["model_type"] == "gemma":
        inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)
        gate = 0.5 * gate * (1 + np.tanh(inner))
    else:
        gate = gate / (1 + np.exp(-gate))
    return (gate * up) @ tensors[name + "down_proj.weight"].T


def attention(config, tensors, name, x, cosine, sine):
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    if name + "qkv_proj.weight" in tensors:
        joint = x @ tensors[name + "qkv_proj.weight"].T
        query, key, value = np.split(joint, [heads * size, (heads + kv_heads) * size], axis=-1)
    else:
        query, key, value = (
            x @ tensors[f"{name}{part}_proj.weight"].T + tensors.get(f"{name}{part}_proj.bias", 0)
            for part in "qkv"
        )
    query, key, value = (part.reshape(len(x), -1, size) for part in (query, key, value))
    if name + "q_norm.weight" in tensors:
        query = norm(query, tensors[name + "q_norm.weight"], config)
        key = norm(key, tensors[name + "k_norm.weight"], config)
    query, key = rotate(query, cosine, sine), rotate(key, cosine, sine)
    key, value = (np.repeat(part, heads // kv_heads, axis=1) for part in (key, value))
    scores = np.einsum("qhd,khd->hqk", query, key) / math.sqrt(size)
    scores = np.where(visible(config, len(x)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    out = np.einsum("hqk,khd->qhd", weights, value).reshape(len(x), -1)
    return out @ tensors[name + "o_proj.weight"].T


def visible(config, tokens):
    distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    window = config.get("sliding_window") or tokens
    return (distance >= 0) & (distance < window)


def rotate(x, cosine, sine):
    size = cosine.shape[-1]
    turned, rest = x[..., :size], x[..., size:]
    first, second = np.split(turned, 2, axis=-1)
    swapped = np.concatenate([-second, first], axis=-1)
    turned = turned * cosine[:, None] + swapped * sine[:, None]
    return np.concatenate([turned, rest], axis=-1)


def rotation(config, tokens):
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    size = int(size * config.get("partial_rotary_factor", 1.0))
    frequency = 1 / config["rope_theta"] ** (np.arange(0, size, 2) / size)
    scaling = config.get("rope_scaling") or {}
    magnitude = 1.0
    if scaling.get("type") == "longrope":
        original = config["original_max_position_embeddings"]
        factor = scaling["long_factor" if tokens > original else "short_factor"]
        frequency = frequency / np.array(factor)
        stretch = config["max_position_embeddings"] / original
        magnitude = math.sqrt(1 + math.log(stretch) / math.log(original))
    if scaling.get("rope_type") == "llama3":
        frequency = np.array([llama3(one, scaling) for one in frequency])
    angles = np.arange(tokens)[:, None] * np.concatenate([frequency, frequency])[None, :]
    return (
        (np.cos(angles) * magnitude).astype(np.float32),
        (np.sin(angles) * magnitude).astype(np.float32),
    )


def llama3(frequency, scaling):
    wavelength = 2 * math.pi / frequency
    original = scaling["original_max_position_embeddings"]
    if wavelength > original / scaling["low_freq_factor"]:
        return frequency / scaling["factor"]
    if wavelength < original / scaling["high_freq_factor"]:
        return frequency
    smooth = original / wavelength - scaling["low_freq_factor"]
    smooth /= scaling["high_freq_factor"] - scaling["low_freq_factor"]
    return (1 - smooth) * frequency / scaling["factor"] + smooth * frequency


def greedy(config, tensors, prompt, count):
    """The ``count`` likeliest tokens after ``prompt``, one after another."""
    sequence = list(prompt)
    for _ in range(count):
        sequence.append(int(logits(config, tensors, np.array(sequence))[-1].argmax()))
    return sequence[len(prompt) :]
