"""The command line in this process and in one of its own, with a stand-in for the session."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aipc import cli
from aipc.artifact import manifest

PROGRAM = Path(__file__).with_name("stand_in.py")


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True)
def no_terminal_s_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests are run in states its own, as pytest-xdist does."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def aipc(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run a command in this process, on an empty store, with text on a stdin that is a pipe."""
    monkeypatch.setenv("AIPC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cli.telemetry, "switch_off", lambda: None)  # it changes the whole process

    def call(*arguments: str, stdin: str | bytes = "") -> Outcome:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        captured = capsys.readouterr()
        return Outcome(left.value.code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def stand_in_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stand_in", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["stand_in"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stand_in(stand_in_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Put a session of the given fields in the real one's place."""

    def install(**fields: Any) -> Any:
        session = stand_in_module.StandIn(**fields)
        monkeypatch.setattr("aipc.session.loading.load", session.load)
        return session

    return install


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Outcome]:
    """Run a command in a process of its own, with the stand-in session of the given fields."""

    def call(*arguments: str, stdin: str = "", **fields: Any) -> Outcome:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, "STAND_IN": json.dumps(fields), "AIPC_HOME": str(tmp_path)},
            timeout=60,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def filled_store(tmp_path: Path) -> Path:
    """The home of `aipc`'s store with one checkpoint and one artifact in it."""
    home = tmp_path / "home"
    for kind, name, facts in (
        ("checkpoint", "org--tiny--main", {}),
        ("artifact", "org--tiny--main-openvino-int4", {"recipe": {"weight_format": "int4"}}),
    ):
        folder = home / f"{kind}s" / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"w" * 1_500_000)
        manifest.write(folder, kind, name, facts)
    return home
