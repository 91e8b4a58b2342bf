from __future__ import annotations

import json

import pytest

from aipc.convert.recipe import Recipe
from aipc.runtimes.blob_cache import READY


def test_an_answer_goes_to_stdout_and_the_rest_to_stderr(aipc, stand_in) -> None:
    session = stand_in(answer="The capital is Paris.")
    outcome = aipc("run", "What is the capital of France?")
    assert outcome.status == 0
    assert outcome.stdout == "The capital is Paris.\n"
    assert "fetching the stand-in" in outcome.stderr
    assert session.asked == ["What is the capital of France?"]  # no message with a role
    assert session.closed


def test_a_newline_is_not_added_twice(aipc, stand_in) -> None:
    stand_in(answer="a\nb\n")
    assert aipc("run", "x").stdout == "a\nb\n"


def test_flags_reach_the_session(aipc, stand_in) -> None:
    session = stand_in()
    model = ("-m", "phi-3-mini", "--device", "gpu.0", "--runtime", "openvino")
    properties = ("--ov-config", "NUM_STREAMS=1", "--ov-config", "CACHE_DIR=a=b")
    recipe = ("--weight-format", "int8", "--asym")
    sampling = ("--temperature", "0.5", "--seed", "7", "--max-new-tokens", "40")
    text = ("--system", "Be brief", "--stop", "END", "--stop", ".")
    outcome = aipc("run", "x", *model, *properties, *recipe, *sampling, *text)
    assert outcome.status == 0
    loaded = session.loaded
    assert (loaded["name"], loaded["device"]) == ("phi-3-mini", "gpu.0")
    assert loaded["runtime"] == "openvino"
    assert loaded["properties"] == {"NUM_STREAMS": "1", "CACHE_DIR": "a=b"}
    assert loaded["recipe"] == Recipe(weight_format="int8", sym=False)
    assert session.sampled == [{"temperature": 0.5, "seed": 7, "max_new_tokens": 40}]
    assert session.asked[0][0] == {"role": "system", "content": "Be brief"}
    assert outcome.stdout == "Paris\n"  # cut at the stop text "."


def test_flags_left_out_leave_the_choice_to_others(aipc, stand_in) -> None:
    session = stand_in()
    aipc("run", "x")
    assert session.loaded["name"] is None
    assert session.loaded["recipe"] is None
    assert session.sampled == [{}]


def test_json_is_one_object(aipc, stand_in) -> None:
    stand_in(answer="Grüße.")
    outcome = aipc("run", "--json", "x")
    told = json.loads(outcome.stdout)
    assert outcome.stdout.count("\n") == 1
    assert told["text"] == "Grüße."
    assert bytes(told["tokens"]).rstrip(b"\0") == "Grüße.".encode()
    assert told["finish_reason"] == "stop"
    assert told["usage"]["prompt_tokens"] == 1
    assert told["timings"]["total_s"] >= 0
    assert (told["model"], told["device"], told["runtime"]) == ("stand-in", "CPU", "fake")


def test_a_bias_is_given_by_the_token_s_id(aipc, stand_in) -> None:
    session = stand_in()
    assert aipc("run", "x", "--logit-bias", "50-100", "--logit-bias", "7=1.5").status == 0
    assert session.sampled == [{"logit_bias": {50: -100.0, 7: 1.5}}]
    outcome = aipc("run", "x", "--logit-bias", "50=-101")
    assert (outcome.status, "-101.0 is below its minimum" in outcome.stderr) == (2, True)


def test_alternatives_are_told_as_json(aipc, stand_in) -> None:
    stand_in(answer="no")
    told = json.loads(aipc("run", "--json", "--top-logprobs", "2", "x").stdout)
    assert told["top_logprobs"][0][0]["text"] == "n"
    assert [len(place) for place in told["top_logprobs"]] == [2] * len(told["tokens"])
    assert told["top_logprobs"][0][0]["piece"] == [ord("n")]
    outcome = aipc("run", "--top-logprobs", "2", "x")
    assert (outcome.status, "add --json" in outcome.stderr) == (2, True)
    outcome = aipc("run", "--json", "--top-logprobs", "2", "--server-url", "http://h:1", "x")
    assert (outcome.status, "leave --server-url out" in outcome.stderr) == (2, True)


def test_an_answer_may_go_on_past_its_end(aipc, stand_in) -> None:
    stand_in(answer="no")
    outcome = aipc("run", "--ignore-eos", "--max-new-tokens", "5", "x")
    assert outcome.stdout == "nonon\n"
    assert aipc("run", "--max-new-tokens", "5", "x").stdout == "no\n"


def test_thinking_is_no_part_of_the_result(aipc, stand_in) -> None:
    stand_in(answer="<think>Hm. Well.</think>Paris.")
    outcome = aipc("run", "x")
    assert outcome.stdout == "Paris.\n"
    assert "Hm." not in outcome.stderr  # which is no terminal
    told = json.loads(aipc("run", "--json", "x").stdout)
    assert (told["thinking"], told["text"]) == ("Hm. Well.", "Paris.")
    assert told["usage"]["thinking_tokens"] == len("<think>Hm. Well.</think>")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), {}),
        (("--think",), {"think": True}),
        (("--no-think",), {"think": False}),
        (
            ("--thinking-budget", "9", "--reasoning-effort", "low"),
            {"thinking_budget": 9, "reasoning_effort": "low"},
        ),
        (("--chat-template-kwargs", '{"a": 1}'), {"template_options": {"a": 1}}),
    ],
)
def test_how_much_to_think_reaches_the_session(aipc, stand_in, flags, told) -> None:
    session = stand_in()
    assert aipc("run", "x", *flags).status == 0
    assert session.thought == [told]


@pytest.mark.parametrize(
    "flags",
    [
        ("--chat-template-kwargs", "[]"),
        ("--chat-template-kwargs", "{"),
        ("--thinking-budget", "-1"),
        ("--reasoning-effort", "much"),
    ],
)
def test_what_says_nothing_of_thinking_is_wrong_usage(aipc, stand_in, flags) -> None:
    session = stand_in()
    assert aipc("run", "x", *flags).status == 2
    assert not session.loaded


def test_an_answer_that_was_cut_says_so(aipc, stand_in) -> None:
    stand_in(answer="123456789")
    outcome = aipc("run", "x", "--max-new-tokens", "4")
    assert outcome.stdout == "1234\n"
    assert outcome.stderr.splitlines()[-1] == (
        "[cut after 4 tokens; --max-new-tokens sets the limit]"
    )


def test_an_engine_that_fails_half_way_ends_the_line_first(aipc, stand_in) -> None:
    stand_in(answer="123456789", fails_after=3)
    outcome = aipc("run", "x")
    assert outcome.status == 1
    assert outcome.stdout == "123\n"
    assert "aipc: the fake engine failed" in outcome.stderr


def test_wrong_usage_is_found_before_anything_is_loaded(aipc, stand_in) -> None:
    session = stand_in()
    for arguments in (
        (),
        ("x", "--temperature", "3"),
        ("x", "--ov-config", "NUM_STREAMS"),
        ("x", "--ov-config", "A=1", "--ov-config", "A=2"),
        ("x", "--group-size", "48"),
    ):
        assert aipc("run", *arguments).status == 2
    assert session.loaded == {}


def test_a_pipe_is_the_prompt(process) -> None:
    outcome = process("run", stdin="Grüße an 今日\n", answer="{last}!")
    assert (outcome.status, outcome.stdout) == (0, "Grüße an 今日!\n")


def test_timings_say_where_the_time_went(aipc, stand_in) -> None:
    stand_in(answer="Paris.")
    outcome = aipc("run", "--timings", "x")
    assert outcome.stdout == "Paris.\n"
    lines = outcome.stderr.splitlines()
    assert all(len(line) <= 100 for line in lines)
    table = [line for line in lines if " s" in line]
    assert any(line.startswith("load    ") and line.endswith(" 1.50 s") for line in table)
    assert any(line.startswith("  read and compile  ") for line in table)
    assert any(line.startswith("prompt to first token, cold") for line in table)
    assert any(line.startswith("further tokens") and "6 tokens" in line for line in table)
    assert any(line.startswith("all together") for line in table)


def test_json_has_the_stages(aipc, stand_in) -> None:
    stand_in()
    timings = json.loads(aipc("run", "--json", "x").stdout)["timings"]
    assert timings["is_cold"] is True
    assert timings["stages"][1] == {"name": "read and compile", "depth": 1, "seconds": 1.25}
    assert timings["all_s"] >= 1.5 + timings["total_s"]


def test_explain_says_what_was_chosen_and_why(aipc, stand_in) -> None:
    why = ["CPU: measured here on 2026-11-22", "a longer reason " * 12]
    stand_in(facts={"model": "stand-in", "device": "CPU", "runtime": "fake", "why": why})
    outcome = aipc("run", "--explain", "x")
    assert outcome.stdout == "Paris.\n"
    assert "- CPU: measured here on 2026-11-22\n" in outcome.stderr
    assert "- a longer reason" in outcome.stderr
    assert all(len(line) <= 100 for line in outcome.stderr.splitlines())


STATED = [
    {"origin": "the catalogue", "values": {"temperature": 0.2}},
    {"origin": "generation_config.json", "values": {"do_sample": False, "top_p": 0.9}},
]


def test_explain_says_where_each_sampling_value_comes_from(aipc, stand_in) -> None:
    session = stand_in(facts={"model": "stand-in", "sampling_defaults": STATED})
    told = aipc("run", "--explain", "--presence-penalty", "0.5", "x").stderr
    (asked,) = session.sampled
    assert asked.keys() == {"presence_penalty", "seed"}
    assert " ".join(told.split()).endswith(
        "- tokens are chosen by temperature 0.2 (the catalogue), top_p 0.9 "
        f"(generation_config.json), presence_penalty 0.5 (given), seed {asked['seed']} (drawn)"
    )


def test_explain_says_what_an_answer_without_thinking_is_sampled_by(aipc, stand_in) -> None:
    qwen = {"origin": "the catalogue", "values": {"temperature": 0.6}}
    qwen["unthinking"] = {"temperature": 0.7}
    stand_in(facts={"model": "stand-in", "sampling_defaults": [qwen]})
    assert "temperature 0.6 (the catalogue)" in aipc("run", "--explain", "x").stderr
    told = aipc("run", "--explain", "--no-think", "x").stderr
    assert "temperature 0.7 (the catalogue)" in told


def test_json_has_the_sampling_values_and_the_seed_that_was_drawn(aipc, stand_in) -> None:
    session = stand_in(facts={"model": "stand-in", "sampling_defaults": STATED})
    told = json.loads(aipc("run", "--json", "--min-p", "0.1", "x").stdout)
    assert "sampling_defaults" not in told
    assert told["sampling"] == {
        "temperature": {"value": 0.2, "origin": "the catalogue"},
        "top_p": {"value": 0.9, "origin": "generation_config.json"},
        "min_p": {"value": 0.1, "origin": "given"},
        "seed": {"value": session.sampled[0]["seed"], "origin": "drawn"},
    }


def test_of_a_server_that_does_not_tell_nothing_is_made_up(aipc, stand_in) -> None:
    session = stand_in()
    told = aipc("run", "--explain", "--json", "x")
    assert "tokens are chosen" not in told.stderr
    assert "sampling" not in json.loads(told.stdout)
    assert session.sampled == [{}]


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def test_a_schema_is_json_or_a_file_of_it(aipc, stand_in, tmp_path) -> None:
    file = tmp_path / "city.json"
    file.write_text(json.dumps(SCHEMA))
    session = stand_in(answer='{{"city": "Paris"}}')
    for told in (json.dumps(SCHEMA), str(file)):
        outcome = aipc("run", "x", "--schema", told)
        assert (outcome.status, outcome.stdout) == (0, '{"city": "Paris"}\n')
    aipc("run", "x")
    assert session.schemas == [SCHEMA, SCHEMA, None]


def test_json_that_is_cut_is_a_failure(aipc, stand_in) -> None:
    stand_in(answer='{{"city": "Paris"}}')
    outcome = aipc("run", "x", "--schema", "{}", "--max-new-tokens", "5")
    assert outcome.status == 1
    assert outcome.stdout == '{"cit\n'
    assert "the JSON is cut after 5 tokens; raise --max-new-tokens" in outcome.stderr


LOOP = "so: " + "yes, " * 50
INT4 = {"model": "stand-in", "device": "CPU", "runtime": "fake", "weights": "int4"}


def test_a_loop_is_stopped_and_told_with_what_helps(aipc, stand_in) -> None:
    stand_in(answer=LOOP, facts=INT4)
    outcome = aipc("run", "x")
    assert (outcome.status, outcome.stdout) == (0, "so: yes, yes, yes, yes, yes\n")
    assert " ".join(outcome.stderr.split()).endswith(
        "[stopped after 27 tokens: the same 5 tokens over and over; --repetition-penalty 1.1 or "
        "weights in int8 (--weight-format) may help, --no-repetition-detection lets it go on]"
    )
    assert all(len(line) <= 100 for line in outcome.stderr.splitlines())


@pytest.mark.parametrize(
    ("flags", "facts", "advice"),
    [
        ((), {}, "--repetition-penalty 1.1 may help"),
        ((), {"weights": "int8"}, "--repetition-penalty 1.1 may help"),
        (("--repetition-penalty", "1.2"), INT4, "weights in int8 (--weight-format) may help"),
        (("--repetition-penalty", "1.2"), {}, "--no-repetition-detection lets it go on"),
    ],
)
def test_what_was_tried_already_is_not_advised(aipc, stand_in, flags, facts, advice) -> None:
    stand_in(answer=LOOP, facts=facts)
    said = " ".join(aipc("run", "x", *flags).stderr.split())
    assert f"over and over; {advice}" in said


def test_a_loop_in_json_is_told_in_it_and_beside_it(aipc, stand_in) -> None:
    stand_in(answer=LOOP)
    outcome = aipc("run", "--json", "x")
    told = json.loads(outcome.stdout)
    assert (outcome.status, told["finish_reason"]) == (0, "repetition")
    assert told["usage"]["completion_tokens"] == len(told["tokens"]) == 27
    assert "the same 5 tokens over and over" in outcome.stderr


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_loop_in_what_has_to_fit_a_schema_is_a_failure(aipc, stand_in, flags) -> None:
    stand_in(answer='{{"city": "' + LOOP)
    outcome = aipc("run", "x", "--schema", "{}", *flags)
    assert outcome.status == 1
    assert "aipc: the JSON is cut, stopped after 37 tokens: the same 5 tokens" in outcome.stderr
    assert outcome.stderr.count("over and over") == 1


def test_a_loop_goes_on_where_it_may(aipc, stand_in) -> None:
    stand_in(answer=LOOP)
    outcome = aipc("run", "x", "--no-repetition-detection", "--max-new-tokens", "200")
    assert outcome.stdout == LOOP[:200] + "\n"
    assert "cut after 200 tokens" in outcome.stderr


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("{", "--schema is no JSON"),
        ("missing.json", "can't read the schema 'missing.json' (No such"),
    ],
)
def test_what_is_no_schema_is_wrong_usage(aipc, stand_in, told, reason) -> None:
    session = stand_in()
    outcome = aipc("run", "x", "--schema", told)
    assert outcome.status == 2
    assert reason in outcome.stderr
    assert not session.asked


def test_weights_are_made_ready_when_the_answer_is_over(aipc, stand_in, monkeypatch) -> None:
    later = []
    monkeypatch.setattr("aipc.session.ready.make_later", lambda *given: later.append(given))
    facts = {"model": "stand-in", READY: False}
    session = stand_in(facts=facts)
    assert aipc("run", "x").status == 0
    assert session.closed
    assert [given[0] for given in later] == [facts]


def test_a_model_without_ready_weights_starts_nothing(aipc, stand_in, monkeypatch) -> None:
    later = []
    monkeypatch.setattr("aipc.session.ready.make_later", lambda *given: later.append(given))
    stand_in()
    assert aipc("run", "x").status == 0
    assert later == []


def test_explain_tells_of_weights_kept_ready(aipc, stand_in) -> None:
    stand_in(facts={"model": "stand-in", READY: True})
    assert "kept ready for this processor" in aipc("run", "--explain", "x").stderr
