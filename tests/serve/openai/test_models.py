from __future__ import annotations


def test_models_are_listed_with_how_they_are(client):
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["object"]) == ("fake", "model")
    assert model["aipc"]["state"] == "ready"
    assert model["aipc"]["context"] == 4096
    assert model["aipc"]["can"] == ["json_schema", "logprobs"]
    assert client.get("/v1/models/fake").json() == model


def test_a_model_that_is_not_there(client):
    for path in ("/v1/models/none", "/v1/models/org/none", "/v1/models/%2e%2e/fake"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"


def test_a_device_that_is_not_here_is_refused_before_anything_is_begun(client):
    for device in ("npu", "gpu.2"):
        body = {"model": "fake", "prompt": "x", "device": device}
        response = client.post("/v1/completions", json=body)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "device_unavailable"
    models = client.get("/api/machine").json()["models"]
    assert [model["device"] for model in models] == ["auto"]
