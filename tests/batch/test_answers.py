from __future__ import annotations

import json

import pytest

from aipc.batch.answers import LineAnswer, TokenUse, failed_answer, new_answer, refused_answer
from aipc.wire.errors import HTTPError

BODY = {"choices": [{"message": {"content": "hé\u2028llo\n"}}], "usage": {"total_tokens": 7}}


@pytest.mark.parametrize(
    "answer",
    [
        new_answer("a", BODY, "req_1"),
        new_answer("a", BODY, "req_1", aipc={"device": "npu"}),
        refused_answer("a", HTTPError(400, "too long", code="context_length_exceeded")),
        failed_answer("a", "invalid_line", "line 3: no JSON"),
        failed_answer(None, "invalid_line", "line 3: no JSON"),
    ],
)
def test_an_answer_is_one_line_and_comes_out_of_it_equal(answer):
    line = answer.to_line()
    assert len(line.decode().splitlines()) == 1
    assert line.endswith(b"\n")
    assert LineAnswer.from_line(line) == answer


def test_lines_are_as_openai_writes_them():
    told = json.loads(new_answer("a", BODY, "req_1").to_line())
    assert told["id"].startswith("batch_req_")
    assert {**told, "id": ""} == {
        "id": "",
        "custom_id": "a",
        "response": {"status_code": 200, "request_id": "req_1", "body": BODY},
        "error": None,
    }
    refused = json.loads(refused_answer("b", HTTPError(404, "none")).to_line())
    assert refused["response"]["status_code"] == 404
    assert refused["response"]["body"]["error"]["message"] == "none"
    assert refused["error"] is None
    unasked = json.loads(failed_answer("c", "invalid_line", "why").to_line())
    assert unasked["response"] is None
    assert unasked["error"] == {"code": "invalid_line", "message": "why"}


def test_what_is_no_answer_has_failed():
    assert not new_answer("a", BODY, "req_1").is_failed
    assert refused_answer("a", HTTPError(400, "no")).is_failed
    assert failed_answer("a", "code", "why").is_failed


@pytest.mark.parametrize(("prompt", "completion"), [("prompt", "completion"), ("input", "output")])
def test_its_tokens_are_those_that_the_body_tells_by_either_name(prompt, completion):
    usage = {
        f"{prompt}_tokens": 7,
        f"{prompt}_tokens_details": {"cached_tokens": 4},
        f"{completion}_tokens": 3,
        f"{completion}_tokens_details": {"reasoning_tokens": 2},
    }
    assert new_answer("a", {"usage": usage}, "req_1").use == TokenUse(7, 4, 3, 2)
    whole = new_answer("a", {"usage": {f"{prompt}_tokens": 7}}, "req_1")
    assert whole.use + whole.use == TokenUse(prompt=14)


def test_without_a_usage_it_took_none():
    assert new_answer("a", {"data": []}, "req_1").use == TokenUse()
    assert failed_answer("a", "code", "why").use == TokenUse()


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"{}", b'{"id": "a"}', b'"a"', b"null", b"\0\0", b"\xff"]
)
def test_what_is_no_such_line_is_refused(line):
    with pytest.raises(ValueError):
        LineAnswer.from_line(line)
