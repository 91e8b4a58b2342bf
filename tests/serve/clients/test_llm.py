"""The ``llm`` command, told of the server as its manual says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from client_requests import CITY_SCHEMA, KEY, MODEL, QUESTION, TOO_LONG

MODELS = """\
- model_id: {name}
  model_name: {model}
  api_base: {url}
  api_key_name: aipc
  supports_schema: true
  supports_tools: true
"""
GREEDY = ("-o", "temperature", "0", "-o", "max_tokens")
ADD = "def multiply(x: int, y: int) -> int:\n    return x * y\n"


@pytest.fixture(scope="module")
def llm(api_url, tmp_path_factory):
    """Call the command; ``here`` is the model, ``nowhere`` one that the server has not."""
    folder = tmp_path_factory.mktemp("llm")
    names = {"here": MODEL, "nowhere": "none"}
    models = [MODELS.format(name=name, model=each, url=api_url) for name, each in names.items()]
    (folder / "extra-openai-models.yaml").write_text("".join(models))
    (folder / "keys.json").write_text(json.dumps({"aipc": KEY}))
    environment = {**os.environ, "LLM_USER_PATH": str(folder)}

    def call(*arguments: str, model: str = "here", stdin: str = "") -> subprocess.CompletedProcess:
        command = [sys.executable, "-W", "ignore", "-m", "llm", "-m", model, *arguments]
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=60,
        )

    return call


def test_a_prompt_whole_and_streamed_is_the_same(llm):
    whole = llm(QUESTION, *GREEDY, "24", "--no-stream", "--usage")
    assert "Paris" in whole.stdout
    assert "input" in whole.stderr
    assert llm(QUESTION, *GREEDY, "24").stdout == whole.stdout


def test_a_conversation_is_continued(llm):
    first = read_tokens(llm("My name is Alice.", *GREEDY, "8", "--usage"))
    assert read_tokens(llm("-c", "Say my name.", *GREEDY, "8", "--usage")) > first + 8


def test_a_schema_is_kept_to(llm):
    told = llm("--schema", json.dumps(CITY_SCHEMA), QUESTION, *GREEDY, "64")
    assert json.loads(told.stdout)["city"] in {"Paris", "Rome"}


def test_tools_may_be_offered(llm):
    told = llm("--functions", ADD, "What is 3 times 4?", *GREEDY, "48")
    assert told.returncode == 0
    assert told.stdout.strip()


def test_errors_say_why(llm):
    for reason, told in (
        ("no model 'none'", llm("x", model="nowhere")),
        ("8,192", llm(*GREEDY, "8", stdin=TOO_LONG)),
        ("key is missing or wrong", llm("x", "--key", "wrong")),
        ("presence_penalty", llm("x", "-o", "presence_penalty", "3")),
    ):
        assert told.returncode == 1
        assert reason in told.stderr


def read_tokens(told) -> int:
    """Of the prompt, as the command's own count has it."""
    return int(re.search(r"([\d,]+) input", told.stderr)[1].replace(",", ""))
