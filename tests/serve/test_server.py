from __future__ import annotations

import itertools
import time

from running_server import WAIT_S


def test_it_ends_after_a_time_without_a_request_and_not_while_one_is_answered(serve_fakes):
    server = serve_fakes(exit_idle_s=1.0)
    with server.client() as client:
        body = {"model": "fake", "prompt": "count 30 every 0.1", "max_tokens": 30}
        reply = client.post("/v1/completions", json=body).json()
        assert reply["choices"][0]["text"].endswith("29 ")
        client.get("/health")  # which is no use of a model
    server._thread.join(WAIT_S)
    assert not server._thread.is_alive()
    assert server.notices == ["no request for 1 s: stopping"]


def test_it_ends_too_where_nothing_was_ever_asked(serve_fakes):
    server = serve_fakes(exit_idle_s=1.0)
    server._thread.join(WAIT_S)
    assert not server._thread.is_alive()


def test_a_clock_that_is_set_disturbs_no_answer(serve_fakes, monkeypatch):
    """Back and forth by years, while an answer is streamed and while nothing is."""
    server, now = serve_fakes(), time.time
    years = itertools.cycle((0, 10, -10, 3, -30))
    body = {"model": "fake", "prompt": "count 30 every 0.03", "max_tokens": 30, "stream": True}
    with server.client() as client:
        monkeypatch.setattr(time, "time", lambda: now() + next(years) * 31_557_600)
        for _ in range(3):
            text = client.post("/v1/completions", json=body).text
            assert text.endswith("data: [DONE]\n\n")
            assert '"text":"29 "' in text
            assert client.get("/health").status_code == 200
            assert client.get("/v1/models").status_code == 200
            assert client.get("/api/ps").status_code == 200
