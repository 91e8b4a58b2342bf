"""Quantize a float GGUF file as llama.cpp does: FOLDER is named for the file type (Q4_K_M, …).

PEER_PYTHON benchmarks/quality_gguf.py MODEL.gguf FOLDER
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import llama_cpp


def quantize(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{folder.name}")
    draft, target = folder / "model.part", folder / "model.gguf"
    names = str(source).encode(), str(draft).encode()
    if llama_cpp.llama_model_quantize(*names, ctypes.byref(options)):
        sys.exit(f"llama.cpp could not quantize {source} as {folder.name}")
    draft.rename(target)


if __name__ == "__main__":
    quantize(Path(sys.argv[1]), Path(sys.argv[2]))
