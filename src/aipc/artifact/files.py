"""The names of the files in an artifact's folder, ours or a vendor's, and of GGUF files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from mmap import ACCESS_READ, mmap
from pathlib import Path

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
ADAPTER = "adapter_config.json"
"""peft's: what an adapter changes, and of which model."""
ADAPTER_WEIGHTS = "adapter_model.safetensors"

OPENVINO_MODEL = "openvino_model.xml"
OPENVINO_WEIGHTS = "openvino_model.bin"
OPENVINO_TOKENIZER = "openvino_tokenizer.xml"
OPENVINO_DETOKENIZER = "openvino_detokenizer.xml"
OPENVINO_CONFIG = "openvino_config.json"
"""optimum-intel's."""

ONNX_MODEL = "model.onnx"
ONNX_WEIGHTS = "model.onnx.data"
GENAI_CONFIG = "genai_config.json"
"""ONNX Runtime GenAI's; its model builder writes the contents of the first two files into it."""

_OUTPUTS = ("last_hidden_state", "logits")
_KEPT = (b"past_key_values", b"present.")
RUNTIME_FILES = {"openvino": OPENVINO_MODEL, "onnx": GENAI_CONFIG}
"""Runtime → the file by which a folder of its own is recognized."""
_GGUF_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.ASCII | re.IGNORECASE)
_PROJECTOR = "mmproj"  # what turns images into tokens, beside a multimodal model


def runtime_of(folder: Path) -> str | None:
    """The runtime that a folder was made for; None where no runtime opens it."""
    for runtime, file in RUNTIME_FILES.items():
        if (folder / file).is_file():
            return runtime
    return "onnx" if whole_text_output(folder) else None


def whole_text_output(folder: Path) -> str:
    """What the ONNX graph in ``folder`` gives of whole texts: "last_hidden_state" or "logits".

    Empty where it keeps something from one token to the next, or there is none.
    """
    file = folder / ONNX_MODEL
    if not file.is_file() or not file.stat().st_size or (folder / GENAI_CONFIG).is_file():
        return ""
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as view:
        if any(view.find(name) >= 0 for name in _KEPT):
            return ""
        return next((one for one in _OUTPUTS if view.find(_field(one)) >= 0), "")


def _field(name: str) -> bytes:
    """As protobuf writes the first field of a message, where ONNX has a value's name."""
    return bytes([0x0A, len(name)]) + name.encode()


def gguf_parts(name: str) -> tuple[str, ...]:
    """The names of all the parts of a model that was split into GGUF files; else ``name`` alone.

    llama.cpp's ``gguf-split`` names them ``NAME-00001-of-00003.gguf``.
    """
    match = _GGUF_PART.fullmatch(name)
    if match is None or not 1 <= int(match[2]) <= int(match[3]):
        return (name,)
    suffix = name[match.end(3) :]
    return tuple(
        f"{match[1]}-{part:05}-of-{match[3]}{suffix}" for part in range(1, int(match[3]) + 1)
    )


def gguf_models(names: Iterable[str]) -> list[tuple[str, ...]]:
    """GGUF files by the model that they hold, each with its parts; image projectors left out."""
    models = (gguf_parts(name) for name in names if not name.lower().startswith(_PROJECTOR))
    return list(dict.fromkeys(models))
