"""Prompts and keys, through all that can go wrong: written nowhere."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import httpx2
import processes
import pytest
from served import served

MODEL = "smollm2-135m"
KEY = "canary-key-0123456789"
CANARY = "canary-prompt-9876543210"
BARE = {"model": MODEL, "messages": [{"role": "user", "content": CANARY}], "max_tokens": 4}
TOOL = {"type": "function", "function": {"name": CANARY, "description": CANARY}}
DEBUGGING = {
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONDEVMODE": "1",
    "OPENVINO_LOG_LEVEL": "5",
}


def schema(**more) -> dict:
    wanted = {"name": CANARY, "schema": {"type": "object", **more}, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": wanted}}


ANSWERED = (
    {},
    {"stop": CANARY, "user": CANARY, "metadata": {CANARY: CANARY}},
    {CANARY: CANARY},
    {"tools": [TOOL], "tool_choice": "required"},
    schema(properties={CANARY: {"const": CANARY}}, required=[CANARY]),
)
REFUSED = (
    {"model": CANARY},
    {"device": CANARY},
    {"temperature": CANARY},
    {"messages": [{"role": CANARY, "content": CANARY}]},
    {"messages": [{"role": "user", "content": f"{CANARY} " * 4000}]},
    schema(properties={CANARY: {"$ref": f"http://{CANARY}.example"}}),
    schema(properties={CANARY: {"type": "string", "pattern": f"({CANARY}"}}, required=[CANARY]),
)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="plain", marks=pytest.mark.long),
        pytest.param(DEBUGGING, id="debugging"),  # writes all that the other does, and more
    ],
)
def test_prompt_and_key_are_written_nowhere(
    environment, small_store, smollm_gguf, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = time.time()
    with served(small_store, "--device", "cpu", AIPC_API_KEY=KEY, **environment) as running:
        running.wait_for("is ready on cpu")
        ask_everything(running.url)
        crash_under_way(running, signal.SIGKILL)
        crash_under_way(running, signal.SIGSEGV)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
    written = "".join(running.lines)
    assert "POST /v1/chat/completions 200" in written
    for secret in (KEY, CANARY):
        assert secret not in written
        assert not [file for file in written_since(started, small_store.home) if has(file, secret)]
        assert not [file for file in written_since(0, tmp_path) if has(file, secret)]


def ask_everything(url: str) -> None:
    with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
        key = {"Authorization": f"Bearer {KEY}"}

        def post(path="/v1/chat/completions", headers=key, **content) -> int:
            return client.post(path, headers=headers, **content).status_code

        for more in ANSWERED:
            assert post(json={**BARE, **more}) == 200
        for more in REFUSED:
            assert post(json={**BARE, **more}) in {400, 404}
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            assert post(path, json={**BARE, CANARY: CANARY}) == 200
            assert post(path, json={**BARE, "top_k": CANARY, "thinking": {"type": CANARY}}) == 400
        broken = {"Content-Type": "application/json", **key}
        assert post(headers=broken, content=json.dumps(BARE)[:-5]) == 400
        assert post(headers=broken, content=f'{{"{CANARY}": '.encode() * 99) == 400
        assert post("/v1/completions", json={"model": MODEL, "prompt": CANARY}) == 200
        short = {"model": MODEL, "input": CANARY, "max_output_tokens": 16}
        assert post("/v1/responses", json=short) == 200
        options = {"num_predict": 4}
        assert post("/api/chat", json={**BARE, "options": options}) == 200
        asked = {"model": MODEL, "prompt": CANARY, "options": options}
        assert post("/api/generate", json=asked) == 200
        assert post("/api/show", json={"model": CANARY}) == 404
        assert post("/api/pull", json={"model": f"{CANARY}/{CANARY}"}) == 403
        assert post(f"/v1/{CANARY}?{CANARY}={KEY}", json=BARE) == 404
        assert client.get(f"/v1/models/{CANARY}?{KEY}", headers=key).status_code == 404
        for name, status in (("Authorization", 401), ("Host", 421), ("Origin", 403)):
            assert post(headers={**key, name: f"http://{CANARY}"}, json=BARE) == status


def crash_under_way(running, number: int) -> None:
    """The worker, in the midst of an answer; another one then answers."""
    long = {**BARE, "max_tokens": 2000, "stream": True}
    key = {"Authorization": f"Bearer {KEY}"}
    with httpx2.Client(base_url=running.url, headers=key, timeout=60, trust_env=False) as client:
        with client.stream("POST", "/v1/chat/completions", json=long) as response:
            lines = response.iter_lines()
            next(lines)
            (worker,) = processes.children(running.process.pid)
            os.kill(worker, number)
            assert "worker_died" in "".join(lines)
        assert client.post("/v1/chat/completions", json=BARE).status_code == 200


def written_since(moment: float, folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.stat().st_mtime >= moment]


def has(file: Path, secret: str) -> bool:
    return secret.encode() in file.read_bytes()
