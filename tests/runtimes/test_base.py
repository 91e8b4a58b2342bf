from __future__ import annotations

import dataclasses

import pytest

from aipc.errors import UsageError
from aipc.generate.structured.constraint import constrain
from aipc.options import describe, from_mapping
from aipc.runtimes.base import Capabilities, Constraint, Decoding
from aipc.runtimes.sampling import Sampling


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_new_tokens", -1),
        ("max_new_tokens", 1.5),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", "hot"),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("repetition_penalty", 0.0),
        ("min_p", 1.1),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -2.1),
        ("logit_bias", {5: -100.5}),
        ("seed", 2**64),
    ],
)
def test_value_out_of_bounds_is_refused_by_its_flag(name, value):
    with pytest.raises(UsageError, match=f"^--{name.replace('_', '-')} "):
        Sampling(**{name: value})


def test_everything_but_the_limit_may_be_left_to_the_model():
    left = [declared.name for declared in describe(Sampling) if declared.default is None]
    shares, penalties = ["top_p", "top_k", "min_p"], ["repetition", "presence", "frequency"]
    penalties = [f"{kind}_penalty" for kind in penalties]
    assert left == ["temperature", *shares, *penalties, "logit_bias", "seed"]
    with pytest.raises(UsageError):
        Sampling(max_new_tokens=None)


def test_unknown_option_names_the_nearest():
    with pytest.raises(UsageError, match="unknown option 'temprature'; did you mean 'temperature'"):
        from_mapping(Sampling, {"temprature": 1.0})


def test_decoding_answers_every_option_of_sampling():
    options = [declared.name for declared in describe(Sampling)]
    fields = [field.name for field in dataclasses.fields(Decoding)]
    own = ["constraint", "logprobs", "top_logprobs", "whole", "adapter"]
    assert fields == [*options, *own]


def test_option_that_a_runtime_does_not_honor_is_refused_before_any_work():
    able = Capabilities(
        runtime="small",
        formats=frozenset({"openvino"}),
        concurrent=False,
        sampling=frozenset({"max_new_tokens", "temperature"}),
    )
    able.check_decoding(Decoding(3, temperature=0.5, presence_penalty=0.0))
    with pytest.raises(UsageError, match=r"'small' does not honor --top-k .*; leave it at 0, or"):
        able.check_decoding(Decoding(3, top_k=5))


def test_constraints_and_probabilities_that_are_not_there_are_refused_before_any_work():
    able = Capabilities(
        "small", frozenset({"onnx"}), concurrent=True, constraints=frozenset({"regex"})
    )
    able.check_decoding(Decoding(3, constraint=Constraint("regex", "a+")))
    with pytest.raises(
        UsageError, match=r"'small' can't enforce a json_schema .*; it enforces reg"
    ):
        able.check_decoding(Decoding(3, constraint=constrain({}).constraint))
    with pytest.raises(UsageError, match=r"gives no probabilities of tokens .* leave logprobs out"):
        able.check_decoding(Decoding(3, logprobs=True))


@pytest.mark.parametrize("count", [-1, 21])
def test_more_alternatives_than_there_are_told_are_refused(count):
    able = Capabilities("x", frozenset(), concurrent=True, logprobs=True)
    able.check_decoding(Decoding(1, logprobs=True, top_logprobs=20))
    with pytest.raises(UsageError, match=f"top_logprobs can't be {count}; it is 0 to 20"):
        able.check_decoding(Decoding(1, logprobs=True, top_logprobs=count))


def test_a_prompt_is_not_judged_where_only_its_last_token_has_scores():
    Capabilities("x", frozenset(), concurrent=True, logits=True).check_logits()
    with pytest.raises(UsageError, match="no probabilities of a prompt on this device"):
        Capabilities("x", frozenset(), concurrent=True).check_logits()
