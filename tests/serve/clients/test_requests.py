"""What real clients send, as it was captured, is answered in the form of its API.

A file of requests/ is a client: its version, and for each turn its requests in order, with texts
shortened.  The turn "tools" replays a call and its result, "error" a call that failed or an answer
that was not valid, "typed" wants an answer by a schema.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

FOLDER = Path(__file__).parent / "requests"
CLIENTS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
REQUESTS = [
    pytest.param(one, id=f"{name}-{one['turn']}")
    for name, client in CLIENTS.items()
    for one in client["requests"]
]
ENDS = {
    "/v1/chat/completions": lambda last: last == "[DONE]",
    "/v1/completions": lambda last: last == "[DONE]",
    "/v1/responses": lambda last: last["type"] in {"response.completed", "response.incomplete"},
    "/v1/messages": lambda last: last["type"] == "message_stop",
    "/api/chat": lambda last: last["done"],
    "/api/generate": lambda last: last["done"],
}
"""What the last event of a stream is, by path."""


def test_there_are_clients_of_every_wire():
    assert len(CLIENTS) >= 15
    paths = {one["path"].partition("?")[0] for (one,) in (param.values for param in REQUESTS)}
    assert set(ENDS) - {"/v1/completions"} <= paths


@pytest.fixture(scope="module")
def document(server):
    with server.client() as client:
        return client.get("/openapi.json").json()


@pytest.mark.parametrize("asked", REQUESTS)
def test_a_client_is_answered(client, document, asked):
    response = client.request(
        asked["method"], asked["path"], json=asked.get("body"), headers=asked["headers"]
    )
    assert response.status_code == 200, response.text
    path, media = asked["path"].partition("?")[0], response.headers["content-type"]
    content = document["paths"][path][asked["method"].lower()]["responses"]["200"]["content"]
    if not asks_for_a_stream(asked):
        check(response.json(), content["application/json"]["schema"], document)
        return
    events = list(read_events(response.text, media))
    assert len(events) > 1
    assert ENDS[path](events[-1])
    for event in events:
        check(event, schema_of_event(content, media), document)


def asks_for_a_stream(asked) -> bool:
    by_default = asked["path"] in {"/api/chat", "/api/generate"}
    return asked.get("body", {}).get("stream", by_default)


def read_events(text, media):
    """The data of each event of a stream, comments left out."""
    if media.startswith("application/x-ndjson"):
        yield from map(json.loads, text.splitlines())
        return
    for line in text.splitlines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


def schema_of_event(content, media):
    """Of an event's data once parsed; what the document has is the data as a string."""
    name = media.partition(";")[0]
    if name == "application/x-ndjson":
        return content["application/json"]["schema"]
    mark, chunk = content[name]["schema"]["properties"]["data"]["anyOf"]
    return {"anyOf": [mark, chunk["contentSchema"]]}


def check(value, schema, document):
    jsonschema.validate(value, {**schema, "components": document["components"]})
