"""Prompts, keys and paths stay out of every log and figure."""

from __future__ import annotations

import logging
import time

import pytest

CANARY = "canary-7f3a"
LOGGER = "aipc.serve.app"
KEY = f"key-{CANARY}-which-is-long"


@pytest.fixture
def keyed(serve_fakes):
    return serve_fakes(api_key=KEY)


def test_no_prompt_key_or_path_gets_into_a_log(keyed, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    chat = {"model": "fake", "messages": [{"role": "user", "content": f"{CANARY} fail"}]}
    with keyed.client(Authorization=f"Bearer {KEY}", **{"User-Agent": CANARY}) as client:
        for text in (CANARY, f"fail {CANARY}", "die"):
            body = {**chat, "messages": [{"role": "user", "content": text}], "user": CANARY}
            client.post("/v1/chat/completions", json=body)
            client.post("/v1/chat/completions", json={**body, "stream": True})
            client.post("/v1/responses", json={"model": "fake", "input": text})
            client.post("/api/chat", json={**body, "keep_alive": CANARY})
            client.post("/api/chat", json=body)
            client.post("/api/generate", json={"model": "fake", "prompt": text})
            client.post("/api/show", json={"model": text})
        client.post("/v1/completions", content=f'{{"prompt": "{CANARY}"')
        client.post("/v1/completions", json={CANARY: CANARY, "model": CANARY, "prompt": CANARY})
        client.get(f"/v1/models/{CANARY}?key={CANARY}")
        client.get(f"/{CANARY}?{CANARY}")
        client.get("/v1/models", headers={"Authorization": f"Bearer {CANARY}"})
        figures = client.get("/metrics").text
    lines = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]
    written = "\n".join([*lines, figures, *capfd.readouterr(), *keyed.notices])
    assert CANARY not in written
    assert "POST /v1/chat/completions 200" in written
    assert "GET /v1/models/{model:path} 404" in written


def test_an_internal_error_is_logged_with_its_lines_and_nothing_of_the_prompt(
    keyed, caplog, monkeypatch
):
    def broken(*_: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("aipc.wire.openai.chat._generation_requests", broken)
    body = {"model": "fake", "messages": [{"role": "user", "content": CANARY}]}
    with keyed.client(Authorization=f"Bearer {KEY}") as client:
        response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 500
    assert CANARY not in response.text
    assert CANARY not in caplog.text
    assert "RuntimeError" in caplog.text
    assert "chat.py" in caplog.text


def test_a_request_has_one_line_with_its_tokens(server, client, caplog):
    caplog.set_level(logging.INFO, "aipc.serve")
    body = {"model": "fake", "messages": [{"role": "user", "content": "count 7"}]}
    client.post("/v1/chat/completions", json=body)
    line = ""
    for _ in range(500):  # it is written after the response has gone out
        line = next((one.getMessage() for one in caplog.records if one.name == LOGGER), "")
        if line:
            break
        time.sleep(0.01)
    assert line.startswith("POST /v1/chat/completions 200, ")
    assert line.endswith(" ms, 7 tokens")


def test_polling_and_the_page_are_in_the_log_for_debugging_alone(client, caplog):
    caplog.set_level(logging.DEBUG, LOGGER)
    for path in ("/health", "/metrics", "/api/machine", "/page/app.js", "/", "/v1/models"):
        client.get(path)
    client.get("/page/none.js")
    levels = {}
    for _ in range(500):  # it is written after the response has gone out
        lines = [(one.getMessage().split(","), one.levelno) for one in caplog.records]
        levels = {line[0]: level for line, level in lines}
        if "GET /page 404" in levels:
            break
        time.sleep(0.01)
    shown = {line for line, level in levels.items() if level == logging.INFO}
    assert shown == {"GET /v1/models 200", "GET /page 404"}
    assert {"GET /health 200", "GET /api/machine 200", "GET / 200"} <= {*levels} - shown
