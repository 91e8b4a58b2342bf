"""The tools that aipc is compared with, each set in a virtual environment of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

OPTIMUM = (  # one command with torch pinned, so that nothing replaces it by a CUDA build
    "torch==2.13.0",
    "optimum-intel==2.2.0",
    "nncf==3.4.0",
    "openvino==2026.4.1",
    "openvino-tokenizers==2026.4.1.0",
    "openvino-genai==2026.4.1.0",
    "transformers==5.5.4",
    "onnxruntime==1.31.1",
    "onnxruntime-genai==0.18.0",
    "onnx==1.23.2",
    "onnx-ir==1.1.0",
)
LLAMA_CPP = ("llama-cpp-python==0.3.36", "numpy", "tokenizers")
AVX512 = ("AVX512", "AVX512_VBMI", "AVX512_VNNI", "AVX512_BF16")


def optimum(folder: Path) -> Path:
    """The ``bin`` of an environment with optimum-intel and ONNX Runtime's model builder.

    Made where it is missing (10 minutes).
    """
    return _environment(folder / "optimum", ["install", *OPTIMUM], unwanted=("torchvision",))


def llama_cpp(folder: Path) -> Path:
    """The ``bin`` of an environment with llama.cpp, compiled where it is missing (20 minutes).

    Without -march=native, whose AMX kernels die of an illegal instruction on some virtual machines.
    """
    source = _source(LLAMA_CPP[0], folder)
    os.environ["CMAKE_ARGS"] = " ".join(
        ["-DGGML_NATIVE=OFF", "-DLLAVA_BUILD=OFF", *(f"-DGGML_{name}=ON" for name in _avx512())]
    )
    return _environment(folder / "llama_cpp", ["install", str(source), *LLAMA_CPP[1:]])


def llama_cpp_converter(folder: Path) -> Path:
    """llama.cpp's script that turns a checkpoint into GGUF, from the same source; needs torch."""
    source = _source(LLAMA_CPP[0], folder)
    home = folder / source.name.removesuffix(".tar.gz")
    if not home.exists():
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
    return home / "vendor" / "llama.cpp" / "convert_hf_to_gguf.py"


def _avx512() -> tuple[str, ...]:
    known = Path("/proc/cpuinfo")
    has = platform.machine() == "x86_64" and known.exists() and "avx512_bf16" in known.read_text()
    return AVX512 if has else ()


def _source(package: str, folder: Path) -> Path:
    """The source distribution of ``package``."""
    pattern = package.replace("-", "_").replace("==", "-") + ".tar.gz"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / pattern).exists():
        binary, name = "--no-binary", package.partition("==")[0]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
        subprocess.run([*pip, "--no-deps", binary, name, "-d", str(folder), package], check=True)
    return folder / pattern


def _environment(home: Path, install: list[str], unwanted: tuple[str, ...] = ()) -> Path:
    done = home / "complete"
    if not done.exists() or done.read_text() != "\n".join(install):
        print(*install, file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, install[0], "-q", *install[1:]], check=True)
        if unwanted:
            # its wheel does not match the CPU build of torch, and transformers trips over it
            subprocess.run([*pip, "uninstall", "-q", "-y", *unwanted], check=True)
        done.write_text("\n".join(install))
    return home / "bin"
