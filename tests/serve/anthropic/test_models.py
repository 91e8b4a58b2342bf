from __future__ import annotations

VERSION = {"anthropic-version": "2023-06-01"}


def test_the_header_chooses_the_form_of_the_list(client):
    page = client.get("/v1/models?limit=20", headers=VERSION).json()
    (model,) = page["data"]
    assert (model["id"], model["type"], model["display_name"]) == ("fake", "model", "fake")
    assert model["created_at"].startswith("1970-01-01T00:00:00")
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("fake", "fake", False)
    assert client.get("/v1/models").json()["object"] == "list"


def test_one_model_and_its_error_have_the_form_too(client):
    assert client.get("/v1/models/fake", headers=VERSION).json()["type"] == "model"
    unknown = client.get("/v1/models/none", headers=VERSION)
    assert unknown.status_code == 404
    assert unknown.json()["error"]["type"] == "not_found_error"
    assert client.get("/v1/models/none").json()["error"]["code"] == "model_not_found"
