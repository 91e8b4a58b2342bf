from __future__ import annotations

import json

import pytest
from starlette.requests import Request

from aipc.serve.openai.stored import ResponseStore, StoredResponse, owner_of
from aipc.wire.errors import HTTPError


def response(text):
    output = [{"id": f"msg_{text}", "content": text}]
    return StoredResponse([{"id": f"item_{text}", "content": text}], json.dumps({"output": output}))


def test_the_least_recently_used_is_let_go():
    store = ResponseStore(max_responses=2)
    for name in ("a", "b"):
        store.keep("me", name, response(name))
    assert store.find("me", "a")
    store.keep("me", "c", response("c"))
    assert [store.find("me", name) is not None for name in "abc"] == [True, False, True]


def test_the_bytes_of_all_are_bounded():
    nbytes = response("a").nbytes
    store = ResponseStore(max_bytes=2 * nbytes)
    for name in ("a", "b", "c"):
        store.keep("me", name, response(name))
    assert [store.find("me", name) is not None for name in "abc"] == [False, True, True]
    store.drop("me", "b")
    store.keep("me", "d", response("d"))
    assert store.find("me", "c")
    store.keep("me", "e", response("e" * nbytes))
    assert not store.find("me", "e")
    assert store.find("me", "d")


def test_an_owner_is_known_by_the_key_in_either_header():
    def owner(**headers):
        raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
        return owner_of(Request({"type": "http", "headers": raw}))

    assert owner(authorization="Bearer k") == owner(x_api_key="k")
    assert len({owner(x_api_key="k"), owner(x_api_key="other"), owner()}) == 3


def test_a_response_is_its_owner_s_alone():
    store = ResponseStore()
    store.keep("me", "a", response("a"))
    assert store.items_before("me", "a") == [
        {"id": "item_a", "content": "a"},
        {"id": "msg_a", "content": "a"},
    ]
    assert store.item("me", "msg_a")["content"] == "a"
    assert store.item("you", "msg_a") is None
    assert not store.drop("you", "a")
    with pytest.raises(HTTPError, match="never kept"):
        store.items_before("you", "a")
