from __future__ import annotations

import dataclasses

from aipc.devices.quarantine import Quarantine
from aipc.pool.status import ModelStatus
from aipc.serve.api.health import _best_states


def test_it_lives_at_once_and_is_ready_when_tokens_have_come(serve_fakes):
    with serve_fakes("slow").client() as client:
        assert client.get("/health").json() == {"status": "alive"}
        assert client.get("/health/ready").json() == {
            "status": "idle",
            "models": {},
            "quarantined": [],
        }
        body = {"model": "slow", "prompt": "x", "stream": True}
        with client.stream("POST", "/v1/completions", json=body) as response:
            states = [client.get("/health/ready")]
            response.read()
        states.append(client.get("/health/ready"))
    assert [state.status_code for state in states] == [503, 200]
    ready = {"status": "ready", "models": {"slow": "ready"}, "quarantined": []}
    assert states[1].json() == ready


def test_a_device_that_computes_a_model_wrongly_is_told_of(server, client):
    Quarantine(server.pool.store.quarantine, {}).put("fake", "NPU", "5.0 nats short")
    (told,) = client.get("/health/ready").json()["quarantined"]
    assert "NPU computes fake wrongly: 5.0 nats short" in told


def test_the_machine_tells_its_memory_and_the_models(client):
    body = client.get("/api/machine").json()
    assert body["memory"]["total"] > 0
    assert body["models"][0]["model"] == "fake"
    assert [place["device"] for place in body["places"]] == ["cpu", "gpu.1"]
    assert body["allows"] == []


def test_figures_are_prometheus_own_format(client):
    def figure(name):
        lines = client.get("/metrics").text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(name))

    tokens, firsts = 'aipc_tokens_total{kind="completion"}', "aipc_first_token_seconds_count"
    before = figure(tokens), figure(firsts), figure("aipc_token_seconds_count")
    client.post("/v1/completions", json={"model": "fake", "prompt": "count 9"})
    assert figure(tokens) == before[0] + 9
    assert figure(firsts) == before[1] + 1
    assert figure("aipc_token_seconds_count") <= before[2] + 8
    assert figure('aipc_model_ready{device="auto",model="fake"}') == 1.0
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_a_device_that_fails_does_not_hide_another_that_answers():
    ready, failed = (status(state) for state in ("ready", "failed"))
    for both in ((ready, failed), (failed, ready)):
        assert _best_states(both) == {"model": "ready"}
    assert _best_states([failed]) == {"model": "failed"}


def status(state):
    left = {field.name: None for field in dataclasses.fields(ModelStatus)}
    return ModelStatus(**{**left, "model": "model", "state": state})
