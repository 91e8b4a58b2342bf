from __future__ import annotations

import pytest

PATH = "/api/generate"


def test_a_whole_answer_and_a_stream_have_ollamas_shape(client, lines):
    body = {"model": "fake", "prompt": "count 3"}
    reply = client.post(PATH, json={**body, "stream": False}).json()
    assert (reply["response"], reply["done"], reply["done_reason"]) == ("0 1 2 ", True, "stop")
    assert (reply["prompt_eval_count"], reply["eval_count"]) == (2, 3)
    *pieces, last = lines(client.post(PATH, json=body))
    assert "".join(one["response"] for one in pieces) == "0 1 2 "
    assert (last["response"], last["done"], last["eval_count"]) == ("", True, 3)


def test_a_prompt_is_a_message_unless_it_is_raw(ask, scripted):
    asked = ask(PATH, prompt="Hi", template="", context=[], images=None)
    assert (asked.prompt, asked.raw, asked.messages) == ("Hi", False, None)
    scripted.reset()
    asked = ask(PATH, prompt="Hi", raw=True)
    assert (asked.prompt, asked.raw) == ("Hi", True)
    scripted.reset()
    asked = ask(PATH, prompt="Hi", system="Be brief.")
    assert asked.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    scripted.reset()
    asked = ask(PATH, prompt="def f(", suffix="return 1")
    assert (asked.prompt, asked.suffix) == ("def f(", "return 1")


REFUSED = {
    "template": {"template": "{{ .Prompt }}"},
    "context": {"context": [1, 2]},
    "images": {"images": ["AAAA"]},
    "system": {"system": "Be brief.", "raw": True},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_change_the_answer_and_can_not_be_had_is_refused_by_name(client, name):
    response = client.post(PATH, json={"model": "fake", "prompt": "x", **REFUSED[name]})
    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{name}: ")


@pytest.mark.parametrize(("path", "empty"), [(PATH, {}), ("/api/chat", {"messages": []})])
def test_without_a_prompt_the_model_is_loaded_or_unloaded(serve_fakes, path, empty):
    with serve_fakes().client() as client:
        body = {"model": "fake:latest", **empty}
        reply = client.post(path, json=body).json()
        assert (reply["done"], reply["done_reason"]) == (True, "load")
        (running,) = client.get("/api/ps").json()["models"]
        assert running["name"] == "fake:latest"
        reply = client.post(path, json={**body, "keep_alive": 0}).json()
        assert (reply["done"], reply["done_reason"]) == (True, "unload")
        assert client.get("/api/ps").json() == {"models": []}
        assert client.post(path, json={**body, "model": "none"}).status_code == 404
