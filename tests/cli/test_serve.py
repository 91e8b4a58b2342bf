"""``aipc serve`` as a process with the small real model, and ``--server-url`` from run and chat."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator

import httpx2
import pytest
from served import EXACT, Served, served

MODEL = "smollm2-135m"
KEY = "a-key-that-nobody-guesses"


@pytest.fixture(scope="module")
def server(small_store, smollm_gguf) -> Iterator[Served]:
    with served(small_store, "-m", MODEL, "--device", "cpu", *EXACT, AIPC_API_KEY=KEY) as running:
        running.wait_for(f"{MODEL} is ready on cpu")
        yield running


@pytest.fixture
def small_aipc(aipc, small_store, monkeypatch):
    """A command that finds the server's key, and would find the small model's files."""

    def call(*arguments: str, **more):
        monkeypatch.setenv("AIPC_HOME", str(small_store.home))
        monkeypatch.setenv("AIPC_API_KEY", KEY)
        return aipc(*arguments, **more)

    return call


def test_a_request_and_the_log_of_it(server):
    body = {"model": MODEL, "prompt": "The capital of France is", "temperature": 0}
    headers = {"Authorization": f"Bearer {KEY}"}
    reply = httpx2.post(f"{server.url}/v1/completions", json=body, headers=headers, timeout=60)
    assert "Paris" in reply.json()["choices"][0]["text"]
    server.wait_for("POST /v1/completions 200, .* ms, 16 tokens")
    assert KEY not in "".join(server.lines)
    assert httpx2.get(f"{server.url}/v1/models").status_code == 401


def test_run_and_chat_use_the_server(server, small_aipc, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be loaded here")

    monkeypatch.setattr("aipc.session.loading.load", refuse)
    place = ("--server-url", server.url, "--temperature", "0", "--max-new-tokens", "12")
    told = small_aipc("run", "Name the capital of France.", *place)
    assert (told.status, "Paris" in told.stdout) == (0, True)
    told = small_aipc("chat", *place, stdin="Name the capital of France.\n")
    assert (told.status, "Paris" in told.stdout) == (0, True)


def test_without_a_server_the_model_is_loaded_here_and_it_is_said(aipc, stand_in):
    session = stand_in(answer="here")
    outcome = aipc("run", "x", "--server-url", "http://127.0.0.1:1")
    assert outcome.stdout == "here\n"
    assert "no server answers at http://127.0.0.1:1; loading it here" in outcome.stderr
    assert session.closed


def test_how_to_load_is_no_question_for_a_server(aipc, stand_in):
    stand_in()
    for flags in (("--asym",), ("--runtime", "onnx"), ("--max-prompt-len", "9")):
        outcome = aipc("run", "x", "--server-url", "http://127.0.0.1:1", *flags)
        assert outcome.status == 2
        assert "is for a model that is loaded here" in outcome.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals to be told by")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_lets_the_answer_under_way_end(small_store, smollm_gguf, name):
    with served(small_store, "--device", "cpu") as running:
        running.wait_for("is ready")
        body = {"model": MODEL, "prompt": "Once", "max_tokens": 60, "stream": True}
        with httpx2.stream(
            "POST", f"{running.url}/v1/completions", json=body, timeout=60
        ) as response:
            lines = response.iter_lines()
            next(lines)
            running.process.send_signal(getattr(signal, name))
            *_, done = [line for line in lines if line]
        assert done == "data: [DONE]"
        assert running.process.wait(30) == 0
    assert any("waiting for the answers under way: 1" in line for line in running.lines)


def test_what_cannot_be_served_is_one_line(aipc, small_store):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = aipc("serve", "--port", str(other.getsockname()[1]))
    assert taken.status == 1
    assert "is taken" in taken.stderr
    for arguments, reason in (
        (("--host", "0.0.0.0"), "there is no key"),
        (("-m", "nothing-of-that-name"), "no model is called"),
        (("--allow-origin", "*"), "is no origin"),
        (("--alias", "claude-*=nothing"), "the alias 'claude-*=nothing' leads to no model"),
        (("--adapter", "poet"), "--adapter 'poet' is no NAME=DIR; write poet=./my-lora, say"),
        (("--adapter", "a=x", "--adapter", "a=y"), "--adapter gives a twice; give each its own"),
        (("--adapter", "poet=nowhere"), "no adapter is called 'nowhere'"),
        (("--api-key-file", "/nowhere"), "can't read the key"),
    ):
        outcome = aipc("serve", *arguments)
        assert outcome.status in {1, 2}
        assert reason in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
