"""aipc on aarch64 Linux, emulated: its wheels, `aipc devices`, a conversion, and ten tokens.

    apt-get install qemu-user           # 10 or newer: 7.2 dies while it loads onnxruntime
    python benchmarks/arm_check.py /tmp/arm

Debian's arm64 Python and PyPI's arm64 wheels are unpacked below the folder (0.5 GB, kept for the
next time) and run by qemu's user mode, so no Arm machine and no root is needed.  Emulation is ten
to fifty times as slow and says nothing of speed; /proc is the host's, so `devices` names the host's
processor.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]
DEBIAN = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} bookworm main"
PACKAGES = ("python3.11", "libpython3.11-stdlib", "libstdc++6", "libgomp1", "libc6")
GLIBC = (35, 34, 31, 28, 27, 26, 24, 17)  # of wheels that Debian 12, which has 2.36, runs
QUESTION = "What is the capital of France?"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--qemu", default="qemu-aarch64")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian")
    parser.add_argument("--limit", type=float, default=900, help="seconds a step may take")
    options = parser.parse_args()
    folder = options.folder.resolve()
    unpack_python(folder, options.mirror)
    install_wheels(folder / "site")
    failed = [step for step in steps(folder) if not run(step, folder, options)]
    return len(failed)


def unpack_python(folder: Path, mirror: str) -> None:
    if (folder / "root/usr/bin/python3.11").exists():
        return
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / name).mkdir(parents=True, exist_ok=True)
    (folder / "apt/status").touch()
    (folder / "apt/sources.list").write_text(DEBIAN.format(mirror) + "\n", encoding="utf-8")
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State::Lists": folder / "apt/lists",
        "Dir::State::status": folder / "apt/status",
        "Dir::Cache": folder / "apt/cache",
        "Dir::Etc::sourcelist": folder / "apt/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    subprocess.run([*apt, "update"], check=True)
    wanted = ["install", "--download-only", "--no-install-recommends", "-y", *PACKAGES]
    subprocess.run([*apt, *wanted], check=True)
    for package in (folder / "apt/cache/archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)


def install_wheels(site: Path) -> None:
    if site.exists():
        return
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    tags = [f"--platform=manylinux_2_{minor}_aarch64" for minor in GLIBC]
    tags += ["--platform=manylinux2014_aarch64", "--python-version=3.11"]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:", *tags]
    subprocess.run([*pip, f"--target={site}", *project["dependencies"]], check=True)


def steps(folder: Path) -> list[tuple[str, list[str]]]:
    """(name, arguments of Python); what was converted is run by each runtime."""
    onnx, openvino = str(folder / "small-onnx"), str(folder / "small-openvino")
    aipc, ask = ["-m", "aipc"], ["-m", "aipc", "run", QUESTION, "--device", "cpu", "--no-server"]
    ask += ["--no-probe", "--max-new-tokens", "10", "--temperature", "0", "-m"]
    convert = [*aipc, "convert", "smollm2-135m", "--weight-format", "fp16"]
    for made in (onnx, openvino):
        shutil.rmtree(made, ignore_errors=True)
    packages = "openvino, openvino_genai, openvino_tokenizers, onnxruntime, onnxruntime_genai"
    return [
        ("import", ["-c", f"import platform, {packages}; print(platform.machine())"]),
        ("devices", [*aipc, "devices"]),
        ("convert for ONNX Runtime", [*convert, "--runtime", "onnx", "-o", onnx]),
        ("ten tokens through ONNX Runtime", [*ask, onnx]),
        ("convert for OpenVINO", [*convert, "-o", openvino]),
        ("ten tokens through OpenVINO", [*ask, openvino]),
        ("the same in float32", [*ask, openvino, "--ov-config", "INFERENCE_PRECISION_HINT=f32"]),
    ]


def run(step: tuple[str, list[str]], folder: Path, options: argparse.Namespace) -> bool:
    name, arguments = step
    environment = {
        **os.environ,
        "PYTHONHOME": str(folder / "root/usr"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(folder / "site")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIPC_HOME": os.environ.get("AIPC_HOME", str(folder / "home")),
    }
    root = folder / "root"
    command = [options.qemu, "-L", root, root / "usr/bin/python3.11", *arguments]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=options.limit,
            check=False,
        )
        status = "good" if done.returncode == 0 else f"exit status {done.returncode}"
        output = done.stdout or done.stderr[-1000:]
    except subprocess.TimeoutExpired:
        status, output = f"not within {options.limit:.0f} s", ""
    print(f"== {name}: {status}, {time.monotonic() - started:.0f} s\n{output.strip()}", flush=True)
    return status == "good"


if __name__ == "__main__":
    sys.exit(main())
