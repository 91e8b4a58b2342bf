from __future__ import annotations

import subprocess
import sys

import click
import pytest

import aipc as package
from aipc.cli.arguments.command_group import COMMANDS, Invocation, commands

VENDORS = {
    "fsspec",
    "gguf",
    "httpx2",
    "huggingface_hub",
    "jinja2",
    "numpy",
    "openvino",
    "openvino_genai",
    "openvino_tokenizers",
    "pandas",
    "prometheus_client",
    "pyarrow",
    "pydantic",
    "ray",
    "rich",
    "starlette",
    "tokenizers",
    "transformers",
    "uvicorn",
    "yaml",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_there_and_takes_debug(name: str) -> None:
    context = click.Context(commands, obj=Invocation())
    command = commands.get_command(context, name)
    again = commands.get_command(context, name)
    assert command is again
    assert command.name == name
    assert [p.name for p in command.params].count("debug") == 1
    assert command.help


@pytest.mark.parametrize(
    "statement",
    [
        "import aipc",
        "from aipc.cli import main; main(['--help'])",
        *(f"from aipc.cli import main; main(['{name}', '--help'])" for name in COMMANDS),
    ],
)
def test_help_and_import_load_no_vendor_package(statement: str) -> None:
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"
        f"{statement}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split("LOADED")[1].split()}
    assert "aipc" in loaded
    assert loaded & VENDORS == set()


def test_help_lists_every_command_within_100_columns(aipc) -> None:
    outcome = aipc("--help")
    assert outcome.status == 0
    for name, what in COMMANDS.items():
        assert name in outcome.stdout
        assert what.split(",")[0] in " ".join(outcome.stdout.split())
    assert max(map(len, outcome.stdout.splitlines())) <= 100


def test_nothing_asked_is_help(aipc) -> None:
    assert aipc().stdout == aipc("--help").stdout


def test_version(aipc) -> None:
    assert aipc("--version").stdout == f"aipc {package.__version__}\n"


def test_python_m_aipc() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aipc", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"aipc {package.__version__}\n"
