"""GGUF files that are wrong in one to three places, written as no writer of the format would."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 4, 5, 6, 7, 8, 9, 10
FORMS = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<B", UINT64: "<Q"}
LAYERS, HIDDEN, INNER, TOKENS = 2, 32, 64, 260
LETTERS = [chr(n) for n in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))]
TEMPLATE = "{% for message in messages %}<|user|>{{ message.content }}<|end|>{% endfor %}"
SOUND = {
    "general.architecture": (STRING, "llama"),
    "general.name": (STRING, "tiny"),
    "general.alignment": (UINT32, 32),
    "general.sampling.temp": (FLOAT32, 0.5),
    "llama.block_count": (UINT32, LAYERS),
    "llama.context_length": (UINT32, 128),
    "llama.embedding_length": (UINT32, HIDDEN),
    "llama.feed_forward_length": (UINT32, INNER),
    "llama.attention.head_count": (UINT32, 4),
    "llama.attention.head_count_kv": (UINT32, 4),
    "llama.attention.layer_norm_rms_epsilon": (FLOAT32, 1e-5),
    "llama.rope.dimension_count": (UINT32, 8),
    "llama.rope.freq_base": (FLOAT32, 1e4),
    "llama.rope.scaling.type": (STRING, "yarn"),
    "llama.rope.scaling.factor": (FLOAT32, 2.0),
    "llama.rope.scaling.original_context_length": (UINT32, 64),
    "tokenizer.ggml.model": (STRING, "gpt2"),
    "tokenizer.ggml.pre": (STRING, "gpt-2"),
    "tokenizer.ggml.tokens": (STRING, [*LETTERS, "<s>", "<|end|>", "<|user|>", "<|assistant|>"]),
    "tokenizer.ggml.token_type": (INT32, [1] * len(LETTERS) + [3] * 4),
    "tokenizer.ggml.merges": (STRING, []),
    "tokenizer.ggml.bos_token_id": (UINT32, 256),
    "tokenizer.ggml.eos_token_id": (UINT32, 257),
    "tokenizer.ggml.add_bos_token": (BOOL, False),
    "tokenizer.chat_template": (STRING, TEMPLATE),
}
OTHER_KEYS = (
    *("llama.attention.key_length", "llama.attention.sliding_window", "split.count", "split.no"),
    *("general.sampling.top_k", "general.type", "llama.rope.scaling.yarn_attn_factor"),
    *("tokenizer.ggml.padding_token_id", "tokenizer.ggml.scores", "tokenizer.ggml.eot_token_id"),
)
ARCHITECTURES = ("gemma3", "gemma4", "granite", "smollm3", "olmo2", "mistral3", "phi3", "qwen3")


def damaged(rng: random.Random, values: tuple) -> bytes:
    kind = rng.randrange(6)
    if kind > 2:
        return encoded(_changed(rng, values), tensors())
    data = encoded(SOUND, tensors())
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 1:
        return flipped(rng, data[:9000], 4) + data[9000:]
    at = rng.choice((8, 16, 24, rng.randrange(4, 9000)))
    number = rng.choice((0, 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1))
    return data[:at] + struct.pack("<Q", number) + data[at + 8 :]


def write_damaged_parts(rng: random.Random, values: tuple, folder: Path) -> Path:
    """The first of three parts, as gguf-split names them; one of them is wrong or not there."""
    names, weights = [f"m-{number + 1:05}-of-00003.gguf" for number in range(3)], tensors()
    wrong = rng.randrange(3)
    for number, name in enumerate(names):
        held = dict(list(weights.items())[number::3])
        place = {"split.no": number, "split.count": 3, "split.tensors.count": len(weights)}
        stated = (SOUND if number == 0 else {}) | {key: (UINT32, at) for key, at in place.items()}
        if number == wrong and rng.random() < 0.7:
            key = rng.choice((*place, "general.architecture"))
            stated[key] = _typed(rng, stated.get(key), rng.choice(values))
        elif number == wrong:
            held = rng.choice((weights, {}, {"x": weights["output_norm.weight"]}))
        (folder / name).write_bytes(encoded(stated, held))
    file = folder / names[wrong]
    kind = rng.randrange(8)
    if kind == 0:
        file.unlink()
    elif kind == 1:
        file.write_bytes(file.read_bytes()[: rng.randrange(200)])
    elif kind == 2:
        file.write_bytes((folder / rng.choice(names)).read_bytes())
    elif kind == 3:
        file.write_bytes(flipped(rng, file.read_bytes()[:500], 4) + file.read_bytes()[500:])
    return folder / names[0] if (folder / names[0]).exists() else folder / names[1]


def flipped(rng: random.Random, data: bytes, count: int) -> bytes:
    """Up to ``count`` - 1 bytes, one at least, are others."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, count) if changed else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _changed(rng, values):
    stated = dict(SOUND)
    if rng.random() < 0.3:  # the same sizes in another network's words
        other = rng.choice(ARCHITECTURES)
        stated = {key.replace("llama.", f"{other}."): value for key, value in stated.items()}
        stated["general.architecture"] = (STRING, other)
    for _ in range(rng.choice((1, 1, 2, 3))):
        key = rng.choice((*stated, *OTHER_KEYS))
        if rng.random() < 0.1:
            stated.pop(key, None)
            continue
        stated[key] = _typed(rng, stated.get(key), rng.choice(values))
    return stated


def _typed(rng, old, value):
    """The value in a type that can hold it, or an array of it; else the old one in an array."""
    if isinstance(value, bool):
        return BOOL, value
    if isinstance(value, float):
        with np.errstate(over="ignore"):
            return FLOAT32, float(np.float32(value))
    if isinstance(value, int) and abs(value) < 2**63:
        kind = UINT32 if 0 <= value < 2**32 else UINT64 if value >= 0 else INT32
        value = max(value, -(2**31)) if kind == INT32 else value
        return (kind, value) if rng.random() < 0.7 else (kind, [value] * rng.choice((1, 2, 5000)))
    if isinstance(value, str):
        return STRING, rng.choice((value, [value] * 3))
    return (old[0], [old[1]] * 2) if old and not isinstance(old[1], list) else (UINT32, [])


def tensors():
    """The weights of the network that `SOUND` describes."""
    shapes = {"token_embd.weight": (TOKENS, HIDDEN), "output_norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        shapes |= {f"{block}attn_{part}.weight": (HIDDEN, HIDDEN) for part in "qkv"}
        shapes |= {
            f"{block}attn_output.weight": (HIDDEN, HIDDEN),
            f"{block}attn_norm.weight": (HIDDEN,),
            f"{block}ffn_norm.weight": (HIDDEN,),
            f"{block}ffn_gate.weight": (INNER, HIDDEN),
            f"{block}ffn_up.weight": (INNER, HIDDEN),
            f"{block}ffn_down.weight": (HIDDEN, INNER),
        }
    drawn = np.random.default_rng(3)
    return {name: drawn.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def encoded(stated, weights):
    """A GGUF file; a value is ``(type, value)``, a list of values an array."""
    pieces = [b"GGUF", struct.pack("<IQQ", 3, len(weights), len(stated))]
    for key, (kind, value) in stated.items():
        pieces += [_text(key), _value(kind, value)]
    offset, body = 0, b""
    for name, values in weights.items():
        axes = values.shape[::-1]
        pieces.append(_text(name) + struct.pack(f"<I{len(axes)}QIQ", len(axes), *axes, 0, offset))
        body += values.tobytes()
        offset = len(body)
    head = b"".join(pieces)
    return head + b"\0" * (-len(head) % 32) + body


def _value(kind, value):
    if isinstance(value, list):
        items = b"".join(_scalar(kind, one) for one in value)
        return struct.pack("<IIQ", ARRAY, kind, len(value)) + items
    return struct.pack("<I", kind) + _scalar(kind, value)


def _scalar(kind, value):
    return _text(value) if kind == STRING else struct.pack(FORMS[kind], value)


def _text(text):
    data = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data
