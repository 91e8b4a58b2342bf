"""aipc with few dependencies, installed by each tool as people do it: what is told there is run.

The package is the real one; its pyproject.toml asks for click and packaging alone, and the extra
"parquet" for a tiny package in place of pyarrow.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = 'dependencies = ["click>=8.1.7", "packaging>=24", "tomli>=2; python_version < \'3.11\'"]'
TINY = "iniconfig"
SCRIPTS = Path(sys.executable).parent


def tool(name: str) -> str:
    """A program of the development environment; the test is skipped without it."""
    found = shutil.which(name, path=os.pathsep.join((str(SCRIPTS), os.environ["PATH"])))
    if found is None:
        pytest.skip(f"needs {name}: pip install -e '.[dev]'")
    return found


def require_index() -> None:
    try:
        socket.create_connection(("pypi.org", 443), timeout=5).close()
    except OSError:
        pytest.skip("no package index can be reached")


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Source:
    """A source tree of the small aipc, which makes wheels of any version."""

    folder: Path
    wheels: Path

    def set_version(self, version: str) -> None:
        file = self.folder / "src/aipc/__init__.py"
        text = re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', file.read_text("utf-8"))
        file.write_text(text, "utf-8")

    def wheel(self, version: str) -> Path:
        self.set_version(version)
        run(tool("uv"), "build", "-q", "--wheel", "-o", self.wheels, self.folder)
        return self.wheels / f"aipc-{version}-py3-none-any.whl"


def small_source(folder: Path) -> Source:
    source = folder / "small source"  # a path with a space: commands have to quote it
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignored)
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    text = re.sub(r"(?s)^dependencies = \[.*?^\]", NEEDED, text, flags=re.MULTILINE)
    text = re.sub(r"^parquet = .*$", f'parquet = ["{TINY}>=2"]', text, flags=re.MULTILINE)
    (source / "pyproject.toml").write_text(text, "utf-8")
    return Source(source, folder / "wheels")


@dataclass(frozen=True)
class Installed:
    """One environment with aipc in it."""

    folder: Path
    environment: dict[str, str]

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def run(self, program: str) -> str:
        return run(self.python, "-c", program, **self.environment)

    def follow(self, told: str, **placeholders: Path) -> None:
        """Run every command in backticks, as a shell does."""
        commands = re.findall(r"`([^`]+)`", told)
        assert commands, told
        for command in commands:
            for name, value in placeholders.items():
                command = command.replace(name, f'"{value}"')  # noqa: PLW2901
            run("bash", "-c", command, **self.environment)


def install(way: str, source: Source, folder: Path) -> Installed:
    """``way``: the tool, and what it takes: "pip wheel", "uv-tool folder", "pipx editable"."""
    tools = {name: tool(name) for name in ("uv", "pipx")}
    program, _, kind = way.partition(" ")
    what = {"wheel": [source.wheel("0.1.0")], "folder": [source.folder]}.get(
        kind, ["-e", source.folder]
    )
    source.set_version("0.1.0")
    environment = {
        "PATH": os.pathsep.join(
            (*{str(Path(one).parent) for one in tools.values()}, "/usr/bin", "/bin")
        ),
        "UV_TOOL_DIR": str(folder / "tools"),
        "UV_TOOL_BIN_DIR": str(folder / "bin"),
        "PIPX_HOME": str(folder / "pipx"),
        "PIPX_BIN_DIR": str(folder / "bin"),
        "PYTHONPATH": "",
    }
    if program in {"pip", "uv"}:
        made = Installed(folder / "env", environment)
        run(tools["uv"], "venv", "-q", *(["--seed"] if program == "pip" else []), made.folder)
        by = [made.python, "-m", "pip"] if program == "pip" else [tools["uv"], "pip"]
        at = ["--python", made.python] if program == "uv" else []
        run(*by, "install", "-q", *at, *what, **environment)
        return made
    if program == "uv-tool":
        run(tools["uv"], "tool", "install", "-q", "--python", sys.executable, *what, **environment)
        return Installed(folder / "tools" / "aipc", environment)
    run(tools["pipx"], "install", "--python", sys.executable, *what, **environment)
    return Installed(folder / "pipx" / "venvs" / "aipc", environment)
