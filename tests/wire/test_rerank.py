from __future__ import annotations

import json

import pytest

from aipc.generate import Finished, Timings, Usage
from aipc.pool.worker.messages import Scored
from aipc.wire.errors import HTTPError
from aipc.wire.openai.urls import RERANK, begin

BODY = {"model": "m", "query": "q", "documents": ["a", {"text": "b"}, "c"]}


def answered(**more):
    exchange = begin(RERANK, json.dumps({**BODY, **more}).encode())
    exchange.add(0, Scored((0.25, 0.75), (1,)))
    exchange.add(0, Scored((0.5,)))
    exchange.add(0, Finished("stop", Usage(12, 0), Timings(None, None, 0.1)))
    return exchange, exchange.whole().model_dump(exclude_none=True)


def test_results_are_by_falling_score_with_their_documents():
    exchange, whole = answered()
    assert whole["results"] == [
        {"index": 1, "relevance_score": 0.75, "document": {"text": "b"}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "c"}},
        {"index": 0, "relevance_score": 0.25, "document": {"text": "a"}},
    ]
    assert whole["usage"] == {"prompt_tokens": 12, "total_tokens": 12}
    assert whole["model"] == "m"
    (request,) = exchange.requests
    assert (request.query, request.texts, request.truncate) == ("q", ("a", "b", "c"), True)
    assert exchange.body.ignored == ("end of documents[1]",)


def test_as_many_as_are_wanted_and_without_documents():
    _, whole = answered(top_n=1, return_documents=False, query={"text": "q"})
    assert whole["results"] == [{"index": 1, "relevance_score": 0.75}]


@pytest.mark.parametrize("truncate", [False, "NONE"])
def test_documents_that_are_too_long_may_be_refused(truncate):
    assert (
        not begin(RERANK, json.dumps({**BODY, "truncate": truncate}).encode()).requests[0].truncate
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": [[1, 2]]}, "documents[0]"),
        ({"query": ""}, "query"),
        ({"top_n": 0}, "top_n"),
    ],
)
def test_what_can_not_be_meant_is_refused(fields, param):
    with pytest.raises(HTTPError) as caught:
        begin(RERANK, json.dumps({**BODY, **fields}).encode())
    assert (caught.value.status, caught.value.param) == (400, param)
