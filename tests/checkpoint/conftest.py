"""Small checkpoints: safetensors made by hand, so that they can be wrong, GGUF by gguf's writer."""

from __future__ import annotations

import json
import os
import random
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aipc.errors import CheckpointError


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Round float32 to the nearest bfloat16 (ties to even), as uint16 bits."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def encode_safetensors(header: Mapping[str, Any] | bytes, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_bytes(tensors: Mapping[str, tuple[str, np.ndarray]]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, values) in tensors.items():
        end = len(data) + values.nbytes
        header[name] = {
            "dtype": dtype,
            "shape": list(values.shape),
            "data_offsets": [len(data), end],
        }
        data += values.tobytes()
    return encode_safetensors(header, data)


VOCABULARY = ["<unk>", "<s>", "</s>", "a", "b", "ab"]


def llama_metadata(**changes: Any) -> dict[str, Any]:
    """The metadata of a tiny llama; a change to None removes an entry.

    In the names of changes ``__`` stands for a dot, and ``arch`` for the architecture.
    """
    values: dict[str, Any] = {
        "general.architecture": "llama",
        "arch.block_count": 1,
        "arch.context_length": 64,
        "arch.embedding_length": 32,
        "arch.feed_forward_length": 64,
        "arch.attention.head_count": 4,
        "arch.attention.head_count_kv": 2,
        "arch.attention.layer_norm_rms_epsilon": 1e-5,
        "arch.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": VOCABULARY,
        "tokenizer.ggml.token_type": [2, 3, 3, 1, 1, 1],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    values.update({name.replace("__", "."): value for name, value in changes.items()})
    prefix = values["general.architecture"] + "."
    return {
        re.sub(r"^arch\.", prefix, key): value for key, value in values.items() if value is not None
    }


def llama_tensors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights of the tiny llama, float32, by GGUF name, rows as the checkpoint has them."""
    shapes = {
        "token_embd.weight": (6, 32),
        "blk.0.attn_norm.weight": (32,),
        "blk.0.attn_q.weight": (32, 32),
        "blk.0.attn_k.weight": (16, 32),
        "blk.0.attn_v.weight": (16, 32),
        "blk.0.attn_output.weight": (32, 32),
        "blk.0.ffn_norm.weight": (32,),
        "blk.0.ffn_gate.weight": (64, 32),
        "blk.0.ffn_up.weight": (64, 32),
        "blk.0.ffn_down.weight": (32, 64),
        "output_norm.weight": (32,),
    }
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def write_gguf(
    path: Path,
    metadata: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray | tuple[np.ndarray, str]],
) -> Path:
    """Write with gguf's own writer; a tensor is float32, or raw bytes with their type."""
    from gguf import GGMLQuantizationType, GGUFWriter

    writer = GGUFWriter(path, str(metadata["general.architecture"]))
    for key, value in metadata.items():
        if key != "general.architecture":
            _add(writer, key, value)
    for name, tensor in tensors.items():
        values, kind = tensor if isinstance(tensor, tuple) else (tensor, "F32")
        writer.add_tensor(name, values, raw_dtype=GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        (writer.add_uint32 if value >= 0 else writer.add_int32)(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def make_safetensors(tmp_path: Path) -> Callable[..., Path]:
    """Write a safetensors file of (dtype, values) by name and return its path."""

    def make(
        tensors: Mapping[str, tuple[str, np.ndarray]], name: str = "model.safetensors"
    ) -> Path:
        path = tmp_path / name
        path.write_bytes(safetensors_bytes(tensors))
        return path

    return make


@pytest.fixture
def make_raw_safetensors(tmp_path: Path) -> Callable[..., Path]:
    """Write a safetensors file with any header and data, sound or not, and return its path."""

    def make(header: Mapping[str, Any] | bytes, data: bytes = b"") -> Path:
        path = tmp_path / "model.safetensors"
        path.write_bytes(encode_safetensors(header, data))
        return path

    return make


@pytest.fixture
def damage() -> Callable[..., Iterator[Path]]:
    """Damage a file in place in many ways, one after another; the same ways each time."""

    def damaged(path: Path, first: int, last: int, times: int) -> Iterator[Path]:
        """Replace one to three bytes of [first, last) by any others."""
        whole = path.read_bytes()
        draw = random.Random(times)
        with path.open("r+b", buffering=0) as file:
            for _ in range(times):
                offsets = [draw.randrange(first, last) for _ in range(draw.randint(1, 3))]
                for offset in offsets:
                    file.seek(offset)
                    file.write(bytes([draw.randrange(256)]))
                yield path
                for offset in offsets:
                    file.seek(offset)
                    file.write(whole[offset : offset + 1])

    return damaged


@pytest.fixture
def refusals() -> Callable[..., list[str]]:
    """Do something with each damaged file; collect our own errors, let any other pass."""

    def collect(files: Iterator[Path], do: Callable[[Path], object]) -> list[str]:
        return [message for message in (_refusal(do, path) for path in files) if message]

    return collect


def _refusal(do: Callable[[Path], object], path: Path) -> str:
    try:
        do(path)
    except CheckpointError as error:
        return str(error)
    return ""


@pytest.fixture
def shorten() -> Callable[[Path, int], Iterator[Path]]:
    """Cut a file to every length below ``most``."""

    def shortened(path: Path, most: int) -> Iterator[Path]:
        for length in reversed(range(most)):
            os.truncate(path, length)
            yield path

    return shortened


@pytest.fixture
def to_bfloat16() -> Callable[[np.ndarray], np.ndarray]:
    return bfloat16


@pytest.fixture
def make_gguf(tmp_path: Path, rng: np.random.Generator) -> Callable[..., Path]:
    """Write a tiny llama's GGUF with changed metadata or tensors and return its path."""

    def make(
        tensors: Mapping[str, Any] | None = None,
        drop: Sequence[str] = (),
        name: str = "tiny.gguf",
        **changes: Any,
    ) -> Path:
        all_tensors = {**llama_tensors(rng), **(tensors or {})}
        kept = {key: value for key, value in all_tensors.items() if key not in drop}
        return write_gguf(tmp_path / name, llama_metadata(**changes), kept)

    return make
