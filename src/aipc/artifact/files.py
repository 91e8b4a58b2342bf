"""The names of the files in an artifact's folder, ours or a vendor's."""

from __future__ import annotations

from pathlib import Path

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
ADAPTER = "adapter_config.json"
"""peft's: what an adapter changes, and of which model."""

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

RUNTIME_FILES = {"openvino": OPENVINO_MODEL, "onnx": GENAI_CONFIG}
"""Runtime → the file by which a folder of its own is recognized."""


def runtime_of(folder: Path) -> str | None:
    """The runtime that a folder was made for; None where no runtime opens it."""
    return next(
        (runtime for runtime, file in RUNTIME_FILES.items() if (folder / file).is_file()), None
    )
