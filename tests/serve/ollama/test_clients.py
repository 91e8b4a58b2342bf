"""What clients of Ollama's send, shortened: each gets an answer that it can read."""

from __future__ import annotations

import json

import pytest

USER = {"role": "user", "content": "Is the light on?"}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_state",
        "description": "Get the state of a device.",
        "parameters": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string", "description": "Its name."}},
        },
    },
}
CALL = {"function": {"name": "get_state", "arguments": {"name": "light"}}}
SCHEMA = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}

CHATS = {
    "Home Assistant": {
        "messages": [{"role": "system", "content": "You are a voice assistant."}, USER],
        "tools": [TOOL],
        "stream": True,
        "think": False,
        "keep_alive": -1,
        "options": {"num_ctx": 8192.0},
    },
    "Home Assistant, after a call": {
        "messages": [
            {"role": "system", "content": "You are a voice assistant."},
            USER,
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "content": '{"data":{"on":true},"error":null}'},
        ],
        "tools": [TOOL],
        "stream": True,
        "think": False,
        "keep_alive": "300s",
        "options": {"num_ctx": 8192},
    },
    "ollama-python": {
        "messages": [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "on", "tool_name": "get_state"},
        ],
        "tools": [TOOL],
        "stream": False,
        "format": SCHEMA,
    },
    "ollama-js": {
        "messages": [USER],
        "stream": True,
        "options": {"num_predict": 8, "temperature": 0, "stop": ["\n\n"]},
    },
    "langchain-ollama": {
        "messages": [
            {"role": "user", "content": "Is the light on?", "images": []},
            {
                "role": "assistant",
                "content": "",
                "images": [],
                "tool_calls": [{"type": "function", "id": "run-1", **CALL}],
            },
            {"role": "tool", "content": "on", "images": [], "tool_call_id": "run-1"},
        ],
        "tools": [TOOL],
        "stream": True,
        "options": {"num_predict": 8, "top_k": 40, "top_p": 0.9, "seed": 3, "temperature": 0.0},
        "keep_alive": "5m",
    },
    "Page Assist": {
        "messages": [USER],
        "stream": True,
        "keep_alive": "5m",
        "options": {
            "temperature": 0.6,
            "num_ctx": 4096,
            "num_gpu": 1,
            "num_thread": 4,
            "use_mlock": False,
            "use_mmap": True,
            "num_keep": 5,
            "repeat_last_n": 64,
        },
    },
    "Open WebUI": {
        "messages": [USER],
        "options": {"mirostat": 0, "tfs_z": 1, "num_keep": 24, "think": None},
        "stream": True,
        "metadata": {"chat_id": "1"},
        "truncate": True,
    },
    "LiteLLM": {
        "messages": [
            {"role": "user", "content": "Is the light on?", "images": None, "tool_calls": None}
        ],
        "options": {"num_predict": 16, "temperature": 0.2},
        "stream": False,
        "format": "json",
    },
}
GENERATES = {
    "Continue": {
        "prompt": "def add(",
        "raw": True,
        "stream": True,
        "options": {"num_predict": 16, "num_ctx": 4096, "stop": ["\n\n"], "temperature": 0.01},
        "keep_alive": 1800,
    },
    "LangChain's plain model": {
        "prompt": "Is the light on?",
        "system": None,
        "template": None,
        "context": None,
        "suffix": None,
        "format": "",
        "images": [],
        "raw": None,
        "stream": True,
        "options": {"stop": None, "num_predict": 8, "mirostat": None, "tfs_z": None},
        "keep_alive": None,
    },
}


def replies(client, path, body):
    response = client.post(path, json={"model": "fake:latest", **body})
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("body", CHATS.values(), ids=CHATS)
def test_a_chat_is_answered(client, body):
    got = replies(client, "/api/chat", body)
    assert (
        "".join(one["message"]["content"] for one in got).strip() == body["messages"][-1]["content"]
    )
    assert [one["done"] for one in got] == [False] * (len(got) - 1) + [True]
    assert len(got) > 1 or body["stream"] is False


@pytest.mark.parametrize("body", GENERATES.values(), ids=GENERATES)
def test_a_prompt_is_answered(client, body):
    got = replies(client, "/api/generate", body)
    assert "".join(one["response"] for one in got).strip() == body["prompt"]
    assert got[-1]["done_reason"] == "stop"


def test_what_apps_look_at_first_is_there(client):
    """Home Assistant: tags. Page Assist: the root, tags. Open WebUI and Copilot: the version."""
    assert client.get("/").status_code == 200
    assert client.get("/api/version").json()["version"]
    (model,) = client.get("/api/tags").json()["models"]
    assert model["model"] == "fake:latest"
    shown = client.post("/api/show", json={"model": model["model"]}).json()
    assert "tools" in shown["capabilities"]
    assert shown["model_info"]["general.basename"] == "fake"
