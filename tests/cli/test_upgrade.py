from __future__ import annotations

from pathlib import Path

import pytest

from aipc import remedies
from aipc.installation import EDITABLE, FILE, PIP, PIPX, Installation, Origin


@pytest.fixture
def installed(monkeypatch):
    def by(tool, origin):
        here = Installation(tool, "/env/bin/python", Path("/env/aipc"), origin)
        monkeypatch.setattr("aipc.installation.this_installation", lambda: here)
        monkeypatch.setattr(remedies.shutil, "which", lambda name, path=None: f"/bin/{name}")

    return by


def test_the_commands_alone_go_to_stdout(aipc, installed) -> None:
    installed(PIP, Origin(EDITABLE, "/gone"))
    outcome = aipc("upgrade")
    assert outcome.status == 0
    assert outcome.stdout == "/env/bin/python -m pip install -e /gone\n"
    assert outcome.stderr == "aipc 0.1.0, installed by pip from a source tree, in place\n  /gone\n"


def test_a_file_that_only_the_user_has_is_said_to_be_one(aipc, installed) -> None:
    installed(PIPX, Origin(FILE, "/old.whl"))
    outcome = aipc("upgrade")
    assert outcome.stdout == "pipx install --force NEW_WHEEL\n"
    assert outcome.stderr.endswith("NEW_WHEEL stands for the file of the newer wheel\n")


def test_an_extra_is_told_for_how_aipc_was_installed(aipc) -> None:
    assert aipc("upgrade", "--extra", "parquet").stdout == 'pip install "pyarrow>=18"\n'
    assert aipc("upgrade", "--extra", "onnx").stdout == "onnx needs nothing more\n"
    outcome = aipc("upgrade", "--extra", "nonsense")
    assert outcome.status == 2
    assert outcome.stderr.startswith("aipc: aipc has no extra 'nonsense'; there is dev, ")
