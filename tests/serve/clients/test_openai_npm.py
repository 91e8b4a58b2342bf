"""The ``openai`` npm package, driven by client.mjs under Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from client_requests import CITY_SCHEMA, KEY, MODEL, QUESTION, TOO_LONG, WEATHER_TOOL

PACKAGE = "openai@7.57.0"
INSTALL_S = 120
REQUEST = {
    "model": MODEL,
    "question": QUESTION,
    "schema": CITY_SCHEMA,
    "tool": WEATHER_TOOL,
    "tooLong": TOO_LONG,
}


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    """A folder in which the package is installed."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("neither Node nor npm is here")
    folder = tmp_path_factory.mktemp("npm")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", PACKAGE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_S
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {PACKAGE} in {INSTALL_S} s")
    if done.returncode:
        pytest.skip(f"npm can't install {PACKAGE}: {done.stderr.strip()[-200:]}")
    shutil.copy(Path(__file__).parent / "client.mjs", folder)
    return folder


@pytest.fixture(scope="module")
def told(api_url, package):
    """What the client was told, by what it requested."""
    environment = {
        **os.environ,
        "AIPC_URL": api_url,
        "AIPC_KEY": KEY,
        "AIPC_REQUEST": json.dumps(REQUEST),
    }
    command = ["node", str(package / "client.mjs")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_chat_whole_and_streamed_is_the_same(told):
    assert "Paris" in told["chat"]["text"]
    assert told["stream"]["text"] == told["chat"]["text"]
    assert told["stream"]["usage"]["total_tokens"] == told["chat"]["usage"]["total_tokens"]


def test_a_tool_that_must_be_called_is(told):
    (call,) = told["tools"]["calls"]
    assert told["tools"]["reason"] == "tool_calls"
    assert call["function"]["name"] == "find_weather"
    assert json.loads(call["function"]["arguments"])["city"] in {"Paris", "Rome"}


def test_a_schema_is_kept_to(told):
    assert told["schema"]["city"] in {"Paris", "Rome"}


def test_the_newer_form_answers_too(told):
    assert "Paris" in told["responses"]


def test_errors_are_of_the_packages_own_classes(told):
    assert told["errors"] == {
        "unknown": refusal("NotFoundError", 404, "model_not_found"),
        "long": refusal("BadRequestError", 400, "context_length_exceeded"),
        "value": refusal("BadRequestError", 400, "invalid_value"),
        "key": refusal("AuthenticationError", 401, "invalid_api_key"),
        "embeddings": refusal("BadRequestError", 400, "model_not_supported"),
    }


def refusal(kind, status, code):
    return {"kind": kind, "status": status, "code": code}
