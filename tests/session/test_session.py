"""From a name to an answer, with the small real model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

import aipc
from aipc.artifact import manifest
from aipc.convert.recipe import Recipe
from aipc.errors import ArtifactError, ConversionError, PromptTooLong, UsageError
from aipc.generate import Finished, GenerationRequest, collect, encode_prompt
from aipc.models.store import Store
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.session.convert import convert
from aipc.session.loading import is_artifact

QUESTION = "Name the capital of France."


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("session-home"))


@pytest.fixture(scope="module")
def load_small(smollm_gguf, small_store):
    def load(weight_format):
        recipe = Recipe(weight_format)
        return aipc.load(str(smollm_gguf), recipe=recipe, runtime="openvino", store=small_store)

    return load


@pytest.fixture(scope="module")
def session(load_small):
    with load_small("int8") as loaded:
        yield loaded


@pytest.fixture
def tiny_phi3(tmp_path):
    config = tiny.CONFIGS["phi3"]
    return tiny.write_checkpoint(tmp_path / "phi3", config, tiny.random_tensors(config))


def test_it_answers_rightly(session):
    reply = session.generate(QUESTION, max_new_tokens=24, temperature=0.0)
    assert "Paris" in reply.text
    assert reply.finish_reason == "stop"
    assert reply.usage.completion_tokens == len(reply.tokens)


def test_it_answers_rightly_in_four_bits(load_small):
    with load_small("int4") as session:
        assert session.facts["weights"] == "int4"
        assert "Paris" in session.generate(QUESTION, max_new_tokens=24, temperature=0.0).text


def test_the_reply_is_the_sum_of_the_events(session):
    events = list(session.stream(QUESTION, max_new_tokens=24, temperature=0.0))
    assert isinstance(events[-1], Finished)
    joined = "".join(event.text for event in events)
    assert joined == session.generate(QUESTION, max_new_tokens=24, temperature=0.0).text


def test_a_conversation_is_remembered(session):
    said = ["Say cat.", "Meow: cat", "Say dog.", "Meow: dog", "Say bird."]
    conversation = [
        {"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(said)
    ]
    assert session.generate(conversation, max_new_tokens=24, temperature=0.0).text.startswith(
        "Meow"
    )


def test_a_prompt_is_counted_as_it_is_answered(session):
    request = GenerationRequest(
        messages=[{"role": "user", "content": QUESTION}],
        tools=[{"type": "function", "function": {"name": "look"}}],
        sampling={"max_new_tokens": 2},
    )
    *_, end = session.answer(request)
    assert session.count(request) == end.usage.prompt_tokens > 40


def test_an_answer_goes_on_where_it_was_begun(session):
    begun = {"role": "assistant", "content": "The capital of France, as everybody knows, is"}
    request = GenerationRequest(
        messages=[{"role": "user", "content": QUESTION}, begun],
        continue_final_message=True,
        sampling={"max_new_tokens": 4, "temperature": 0.0},
    )
    assert collect(session.answer(request)).text.startswith(" Paris")


def test_stop_strings_end_the_answer_and_are_not_in_it(session):
    reply = session.generate(QUESTION, stop=["Paris"], max_new_tokens=24, temperature=0.0)
    assert reply.finish_reason == "stop"
    assert reply.text.startswith("The capital")
    assert "Paris" not in reply.text


def test_a_prompt_beyond_the_context_is_refused_with_the_numbers(session):
    with pytest.raises(PromptTooLong, match=r"long: [\d,]+ tokens, and the context holds 8,192"):
        session.stream("word " * 9000)


def test_token_ids_are_answered_as_their_text_is(session):
    text = session._text
    ids = encode_prompt(QUESTION, text.tokenizer, text.template)
    reply = session.generate(QUESTION, max_new_tokens=24, temperature=0.0)
    assert (
        collect(session.stream_ids(ids, max_new_tokens=24, temperature=0.0)).tokens == reply.tokens
    )
    second = reply.tokens[1]
    assert (
        collect(session.stream_ids(ids, stop_ids={second}, temperature=0.0)).tokens
        == reply.tokens[:2]
    )
    with pytest.raises(UsageError, match="did you mean 'seed'"):
        session.stream_ids(ids, sed=1)


def test_the_emulated_npu_answers_as_the_cpu_does(smollm_gguf, small_store):
    answers = []
    for placed in ({"device": "cpu"}, {"device": "npu", "emulate": True}):
        numerics = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
        with aipc.load(
            str(smollm_gguf),
            recipe=Recipe("int4", group_size=-1),
            properties={**numerics, "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"},
            npu=NpuOptions(max_prompt_len=64, min_response_len=64),
            store=small_store,
            **placed,
        ) as session:
            answers.append(session.generate(QUESTION, max_new_tokens=12, temperature=0.0).text)
    assert answers[0] == answers[1]
    assert session.facts["device"] == "NPU (emulated)"
    assert session.facts["asked"]["device"] == "npu"
    assert session.context == 128
    assert not session.concurrent


def test_an_unknown_option_is_refused(session):
    with pytest.raises(UsageError, match="did you mean 'temperature'"):
        session.stream(QUESTION, temprature=1.0)


def test_facts_say_what_runs_where_how_and_why(session):
    facts = json.loads(json.dumps(session.facts))
    assert facts["device"] == "CPU"
    assert facts["runtime"] == "openvino"
    assert facts["weights"] == "int8"
    assert facts["why"][0].startswith("CPU: ")
    assert all(any(key in reason for reason in facts["why"]) for key in facts["properties"])


def test_a_second_load_uses_the_artifact_of_the_first(smollm_gguf, small_store, session):
    folder = Path(session.facts["artifact"])
    written = (folder / manifest.FILE).stat().st_mtime_ns
    made = convert(str(smollm_gguf), Recipe("int8"), runtime="openvino", store=small_store)
    assert (made.path, made.reused) == (folder, True)
    assert (folder / manifest.FILE).stat().st_mtime_ns == written


def test_a_property_of_the_user_overrides_the_rule(session):
    folder = session.facts["artifact"]
    with aipc.load(folder, properties={"INFERENCE_PRECISION_HINT": "bf16"}) as again:
        assert again.facts["properties"]["INFERENCE_PRECISION_HINT"] == "bf16"
        assert not any("INFERENCE_PRECISION_HINT" in reason for reason in again.facts["why"])


def test_an_artifact_is_known_by_its_name(session, tiny_phi3):
    assert is_artifact(session.facts["artifact"])
    assert not is_artifact(str(tiny_phi3))


def test_a_recipe_can_not_apply_to_an_artifact(session):
    with pytest.raises(UsageError, match="converted already"):
        aipc.load(session.facts["artifact"], recipe=Recipe("int8"))


def test_convert_writes_a_whole_artifact_where_it_is_told(tiny_phi3, tmp_path, home):
    output = tmp_path / "artifact"
    made = convert(str(tiny_phi3), Recipe("int4", group_size=32), output=output, store=home)
    assert (made.path, made.reused) == (output, False)
    assert manifest.verify(output) == []
    facts = manifest.read(output).facts
    assert facts["recipe"]["weight_format"] == "int4"
    assert set(facts["source"]["files"]) >= {"config.json", "model.safetensors"}
    assert convert(str(tiny_phi3), Recipe("int4", group_size=32), output=output, store=home).reused
    with pytest.raises(ConversionError, match="holds another artifact"):
        convert(str(tiny_phi3), Recipe("int8"), output=output, store=home)


def test_a_folder_with_other_things_in_it_is_left_alone(tiny_phi3, tmp_path, home):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "draft.tex").write_text("three years of work")
    with pytest.raises(ConversionError, match="aipc did not make it"):
        convert(str(tiny_phi3), Recipe("int8"), output=tmp_path / "thesis", store=home)
    assert (tmp_path / "thesis" / "draft.tex").read_text() == "three years of work"


def test_an_artifact_can_not_be_converted(session):
    with pytest.raises(ArtifactError, match="converted already"):
        convert(session.facts["artifact"], Recipe("int8"))


def test_a_checkpoint_that_changes_while_it_is_read_makes_no_artifact(
    tiny_phi3, tmp_path, home, monkeypatch
):
    from aipc.convert.openvino.plan import OpenVINOPlan

    write = OpenVINOPlan.write

    def write_and_touch(*arguments):
        write(*arguments)
        os.utime(tiny_phi3 / "model.safetensors", (1, 1))

    monkeypatch.setattr(OpenVINOPlan, "write", write_and_touch)
    with pytest.raises(ConversionError, match="changed while it was being read"):
        convert(str(tiny_phi3), Recipe("int8"), output=tmp_path / "out", store=home)
    assert not (tmp_path / "out").exists()


CONVERT = "import sys; from aipc.cli import main; main(sys.argv[1:])"


def start_conversion(source, home):
    command = [sys.executable, "-c", CONVERT, "convert", str(source), "--weight-format", "int8"]
    environment = os.environ | {"AIPC_HOME": str(home)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_killed_conversion_leaves_nothing_listed_and_the_next_one_works(smollm_gguf, tmp_path):
    process = start_conversion(smollm_gguf, tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("artifacts/.*.partial/*.bin")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    store = Store(tmp_path)
    assert store.entries() == []
    made = convert(str(smollm_gguf), Recipe("int8"), store=store)
    assert manifest.verify(made.path) == []
    assert [entry.kind for entry in store.entries()] == ["artifact"]


def test_two_processes_that_want_the_same_make_it_once(tiny_phi3, tmp_path):
    processes = [start_conversion(tiny_phi3, tmp_path) for _ in range(2)]
    complaints = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], complaints
    entries = Store(tmp_path).entries()
    assert len(entries) == 1
    assert manifest.verify(entries[0].path) == []
