"""install/install.sh run for real, into a home of its own; install.ps1 is only looked at here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from installations import require_index, run, small_source, tool

ROOT = Path(__file__).parents[1]
SHELL = ROOT / "install/install.sh"
POWERSHELL = ROOT / "install/install.ps1"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the script is for other systems")


@pytest.fixture
def home(tmp_path):
    """A user's folder, and the environment of a login without uv."""
    folder = tmp_path / "a user"
    folder.mkdir()
    certificates = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
    return certificates | {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "SHELL": "/bin/bash",
        "AIPC_PYTHON": sys.executable,
        "AIPC_HOME": str(folder / "models"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
    }


def script(home, *arguments):
    return subprocess.run(
        ["/bin/sh", SHELL, *map(str, arguments)],
        env=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_home_without_python_or_uv_gets_aipc_upgrades_it_and_loses_it(home, tmp_path) -> None:
    require_index()
    source = small_source(tmp_path)
    done = script(home, source.wheel("0.1.0"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "aipc 0.1.0\n"
    assert "fetching uv" in done.stderr
    assert "ready, in a new terminal" in done.stderr
    program = Path(home["HOME"], ".local/bin/aipc")
    assert run(program, "--version", **home) == "aipc 0.1.0"
    assert ".local/bin" in Path(home["HOME"], ".bashrc").read_text()
    told = run(program, "upgrade", "--extra", "parquet", **home)
    assert re.match(r'"?/.*/a user/.local/bin/uv"? tool install .* --with "iniconfig>=2"', told)
    done = script(home, source.wheel("0.1.1"))
    assert done.stdout == "aipc 0.1.1\n", done.stderr
    assert "fetching uv" not in done.stderr
    done = script(home, "--uninstall")
    assert done.returncode == 0, done.stderr
    assert f"models stay in '{home['AIPC_HOME']}'" in done.stderr
    assert not program.exists()


def test_what_was_fetched_has_to_be_uv(home, tmp_path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    curl = programs / "curl"
    curl.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; echo other > "$2"\n')
    curl.chmod(0o755)
    done = script(home | {"PATH": f"{programs}:/usr/bin:/bin"}, "aipc")
    assert done.returncode == 1
    assert "install.sh: what was fetched is not uv" in done.stderr
    assert not Path(home["HOME"], ".local/bin/uv").exists()


@pytest.mark.parametrize(("flag", "status"), [("--help", 0), ("--nonsense", 2)])
def test_its_help(flag, status, home) -> None:
    done = script(home, flag)
    assert done.returncode == status
    assert "sh install.sh [SOURCE]" in done.stdout + done.stderr


def test_shellcheck_finds_nothing() -> None:
    run(tool("shellcheck"), SHELL)


def test_powershell_could_read_its_script() -> None:
    """By a grammar of the language, since there is no PowerShell here: it was never run."""
    grammar = pytest.importorskip("tree_sitter_powershell", reason="pip install -e '.[dev]'")
    from tree_sitter import Language, Parser

    parser = Parser(Language(grammar.language()))
    whole = POWERSHELL.read_bytes()
    assert not parser.parse(whole).root_node.has_error
    assert parser.parse(whole.replace(b"} finally {", b"} finally", 1)).root_node.has_error
    assert max(whole) < 128  # PowerShell 5 takes a file without a mark for one of its code page


def test_both_scripts_fetch_the_uv_that_the_project_is_tested_with() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (version,) = re.findall(r'"uv==([\d.]+)"', project)
    assert f"UV_VERSION={version}\n" in SHELL.read_text("utf-8")
    assert f'$UvVersion = "{version}"\n' in POWERSHELL.read_text("utf-8")
