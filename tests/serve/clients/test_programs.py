"""Real clients, each in a program of programs/, and agents' command lines, on the small real model.

AIPC_CLIENTS names a folder in which the clients are installed once; without it that is done anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from client_requests import KEY, MODEL, QUESTION

pytestmark = pytest.mark.long
HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
INSTALL_S, PROGRAM_S = 900, 600
# Where turns are named, the others are beyond the client or the model: a small one calls a tool for
# ever where a typed answer follows, Ollama's API can't force a call, and LangChain.js leaves a
# schema's bounds out of what it sends to Anthropic's.
TURNS = "plain stream tools tools_streamed error typed"
PYTHON = (
    "anthropic_messages.py",
    "instructor_chat.py",
    "langchain_anthropic_chat.py",
    "langchain_ollama_chat.py",
    "langchain_openai_chat.py",
    "langchain_openai_chat.py --responses",
    "litellm_chat.py",
    "ollama_chat.py",
    f"openai_agents.py {TURNS}",
    f"openai_agents.py --chat {TURNS}",
    "openai_chat.py",
    "pydantic_ai_chat.py",
    "pydantic_ai_chat.py --responses",
)
NODE = (
    "agents.mjs --chat",
    "agents.mjs --responses",
    "anthropic.mjs",
    "langchain.mjs anthropic plain stream tools error",
    "langchain.mjs chat",
    "langchain.mjs ollama",
    "langchain.mjs responses",
    "ollama.mjs",
    "openai.mjs",
    "vercel.mjs anthropic",
    "vercel.mjs chat",
    "vercel.mjs compatible",
    "vercel.mjs ollama plain stream typed",
    "vercel.mjs responses",
)

CODEX = """\
model = "{model}"
model_provider = "aipc"
[model_providers.aipc]
name = "aipc"
base_url = "{url}"
wire_api = "responses"
env_key = "AIPC_API_KEY"
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    kept = os.environ.get("AIPC_CLIENTS")
    return Path(kept).absolute() if kept else tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="session")
def python(folder) -> Path:
    """An interpreter that has the clients of requirements.txt."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not here")
    requirements = HERE / "requirements.txt"
    environment = folder / "python"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        install(uv, "venv", "--python", sys.executable, str(environment))
    install(uv, "pip", "install", "--python", str(python), "-r", str(requirements))
    return python


@pytest.fixture(scope="session")
def packages(folder) -> Path:
    """A folder with the programs and the packages of package.json."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("neither Node nor npm is here")
    place = folder / "node"
    shutil.copytree(PROGRAMS, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py"))
    install(npm, "install", "--prefix", str(place), "--no-audit", "--no-fund")
    return place


def install(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def turns_of(api_url):
    """What a program was told, by turn."""
    url = api_url.removesuffix("/v1")
    names = {"AIPC_URL": url, "AIPC_KEY": KEY, "AIPC_MODEL": MODEL}

    def run(*command: str):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **names},
            timeout=PROGRAM_S,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("program", PYTHON)
def test_a_python_client_gets_what_it_asked_for(python, turns_of, program):
    name, *arguments = program.split()
    check(turns_of(str(python), str(PROGRAMS / name), *arguments))


@pytest.mark.parametrize("program", NODE)
def test_a_node_client_gets_what_it_asked_for(packages, turns_of, program):
    name, *arguments = program.split()
    check(turns_of("node", str(packages / name), *arguments))


@pytest.fixture
def agent_says(packages, tmp_path):
    """Run an agent's command in an empty project and a home of its own; what it printed."""

    def run(name: str, *arguments: str, **names: str) -> str:
        command = packages / "node_modules" / ".bin" / name
        done = subprocess.run(
            [str(command), *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", **names},
            timeout=PROGRAM_S,
        )
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
        return done.stdout

    return run


def test_codex_runs(agent_says, api_url, tmp_path):
    (tmp_path / "config.toml").write_text(CODEX.format(model=MODEL, url=api_url))
    home = {"CODEX_HOME": str(tmp_path), "AIPC_API_KEY": KEY}
    assert agent_says("codex", "exec", "--skip-git-repo-check", "Say hello.", **home).strip()


def test_claude_code_runs(agent_says, api_url):
    names = {
        "ANTHROPIC_BASE_URL": api_url.removesuffix("/v1"),
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    options = ("--bare", "--model", MODEL, "--tools", "Read", "--system-prompt", "Be brief.")
    assert agent_says("claude", "-p", QUESTION, *options, **names).strip()


def check(turns) -> None:
    assert len({"stream", "error", "typed"} & set(turns)) >= 2
    for name, told in turns.items():
        if "typed" in name or (name.startswith("error") and "city" in told):
            assert_is_answer(told)
        elif name in {"plain", "generate", "responses"}:
            assert told.strip()
        elif name == "stream":
            assert_is_answer(told) if isinstance(told, dict) else assert_is_text(told)
        elif name.startswith(("tools", "error", "responses_tools")):
            assert isinstance(told["text"], str)
            assert all(call["name"] == "find_weather" for call in told["calls"])


def assert_is_text(pieces) -> None:
    assert pieces
    assert "".join(pieces).strip()


def assert_is_answer(told) -> None:
    assert told["city"] in {"Paris", "Rome"}
    assert isinstance(told["districts"], int)
    assert 0 <= told["confidence"] <= 1
