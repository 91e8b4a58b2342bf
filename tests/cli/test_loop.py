"""A small real model in a recipe that has it go round in loops, and each way to meet one."""

from __future__ import annotations

import json

import openai
import pytest
from served import served

from aipc.cli.answering.loop import loop_remedies
from aipc.convert.recipe import Recipe
from aipc.generate import looping_pattern
from aipc.models.store import Store
from aipc.session.convert import convert

QUESTION = "Compare travelling by train with travelling by car."
LONGEST = 400
GREEDY = ("--temperature", "0", "--max-new-tokens", str(LONGEST))
HERE = ("--device", "cpu", "--runtime", "openvino", "--no-probe", "--no-server")
ADVICE = (
    "--repetition-penalty 1.1 or weights in int8 (convert the model again with --weight-format "
    "int8) may help"
)
TEXTS = json.dumps({"type": "array", "items": {"type": "string", "minLength": 4}, "minItems": 60})


@pytest.fixture(scope="module")
def artifact(small_store, smollm_gguf, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("loops") / "int4"
    recipe = Recipe("int4", group_size=128, quantizer="rtn", requantize=True)
    convert(str(smollm_gguf), recipe, runtime="openvino", output=folder, store=small_store)
    return str(folder)


@pytest.fixture(scope="module")
def server(artifact, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("home"))
    with served(store, "-m", artifact, "--device", "cpu", "--runtime", "openvino") as running:
        running.wait_for("is ready on cpu")
        yield running


def said_of(outcome) -> str:
    """What stands on stderr, without its line ends."""
    return " ".join(outcome.stderr.split())


def test_run_stops_a_loop_and_says_what_helps(aipc, artifact):
    outcome = aipc("run", "-m", artifact, QUESTION, *GREEDY, *HERE)
    assert outcome.status == 0
    assert outcome.stdout.strip()
    assert f"over and over; {ADVICE}, --no-repetition-detection" in said_of(outcome)


def test_json_has_the_loop_once_and_the_reason(aipc, artifact):
    outcome = aipc("run", "-m", artifact, QUESTION, "--json", *GREEDY, *HERE)
    told = json.loads(outcome.stdout)
    assert (outcome.status, told["finish_reason"]) == (0, "repetition")
    assert looping_pattern(told["tokens"])
    assert looping_pattern(told["tokens"][:-1]) is None
    assert ADVICE in said_of(outcome)


def test_a_loop_within_enforced_json_is_a_failure(aipc, artifact):
    outcome = aipc("run", "-m", artifact, QUESTION, "--schema", TEXTS, *GREEDY, *HERE)
    assert outcome.status == 1
    assert "aipc: the JSON is cut, stopped after" in outcome.stderr
    assert ADVICE in said_of(outcome)


def test_chat_stops_a_loop_and_goes_on(aipc, artifact):
    outcome = aipc("chat", "-m", artifact, *GREEDY, *HERE, stdin=f"{QUESTION}\n/help\n")
    assert outcome.status == 0
    assert outcome.stdout.strip()
    assert ADVICE in said_of(outcome)
    assert "/reset" in outcome.stderr


def test_through_a_warm_server_it_is_the_same(aipc, artifact, server, monkeypatch):
    monkeypatch.setenv("AIPC_HOME", str(server.servers.parent))
    arguments = ("-m", artifact, QUESTION, "--json", *GREEDY)
    there, here = aipc("run", *arguments), aipc("run", *arguments, *HERE)
    assert "using the model that aipc serve has ready" in there.stderr
    ends = [json.loads(outcome.stdout) for outcome in (there, here)]
    assert [one["finish_reason"] for one in ends] == ["repetition"] * 2
    assert ends[0]["tokens"] == ends[1]["tokens"]
    assert ADVICE in said_of(there)


@pytest.mark.parametrize("stream", [False, True])
def test_over_http_a_loop_ends_where_it_is_asked_for(server, stream):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        (model,) = client.models.list().data
        asked = [{"role": "user", "content": QUESTION}]
        options = {"model": model.id, "messages": asked, "temperature": 0, "max_tokens": LONGEST}
        rule = {"repetition_detection": {}}
        reply = client.chat.completions.create(**options, stream=stream, extra_body=rule)
        last = list(reply)[-1] if stream else reply
        type(last).model_validate(last.to_dict())  # as strict clients have it
        choice = last.choices[0]
        assert (choice.finish_reason, choice.stop_reason) == ("length", "repetition_detected")
        whole = client.chat.completions.create(**options)
    assert whole.usage.completion_tokens == LONGEST
    assert not hasattr(whole.choices[0], "stop_reason")


@pytest.mark.parametrize(
    ("given", "stated", "advised"),
    [
        ({}, 1.05, "--repetition-penalty 1.1 or weights in int8"),
        ({}, 1.2, "weights in int8"),
        ({"repetition_penalty": 1.0}, 1.2, "--repetition-penalty 1.1 or weights in int8"),
        ({"repetition_penalty": 1.1}, None, "weights in int8"),
        ({"frequency_penalty": 0.1}, None, "weights in int8"),
        ({"frequency_penalty": 0.0, "presence_penalty": -1.0}, None, "--repetition-penalty 1.1"),
    ],
)
def test_a_penalty_that_is_in_use_is_not_advised(given, stated, advised):
    facts = {
        "weights": "int4",
        "sampling_defaults": [
            {"origin": "the catalogue", "values": {"repetition_penalty": stated}}
        ],
    }
    assert loop_remedies(given, facts).startswith(advised)


def test_a_folder_that_is_converted_has_to_be_converted_again():
    named = {"weights": "int4", "model": "org/model", "artifact": "/store/model-int4"}
    assert "int8 (--weight-format) may help" in loop_remedies({}, named)
    folder = named | {"model": "/store/model-int4"}
    assert "(convert the model again with --weight-format int8) may help" in loop_remedies(
        {}, folder
    )
