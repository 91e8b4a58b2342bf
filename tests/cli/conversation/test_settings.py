from __future__ import annotations

import pytest

from aipc.cli.conversation.settings import NAMES, SamplingSettings
from aipc.errors import UsageError


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("temperature 0.7", {"temperature": 0.7}),
        ("temperature=0.7", {"temperature": 0.7}),
        ("--top-k 40", {"top_k": 40}),
        ("Max-New-Tokens = 7", {"max_new_tokens": 7}),
        ("logit_bias 15043=-100 7+1.5", {"logit_bias": {15043: -100.0, 7: 1.5}}),
        ("seed -1", {"seed": -1}),
    ],
)
def test_an_option_is_set_as_on_the_command_line(argument, given) -> None:
    settings = SamplingSettings({})
    settings.set(argument)
    assert settings.given == given


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("temprature 1", "unknown option 'temprature'; did you mean 'temperature'?"),
        ("temperature", "/set takes an option and a value; /set temperature 0.7"),
        ("temperature warm", "temperature can't be 'warm'; it takes a number"),
        ("temperature 3", "--temperature 3.0 is above its maximum 2.0"),
        ("top_k 1.5", "top_k can't be '1.5'; it takes a whole number"),
        ("logit_bias x", "logit_bias can't be 'x'; it takes ID=X, such as 15043=-100"),
        ("temperature nan", "--temperature nan is below its minimum 0.0"),
    ],
)
def test_what_no_option_takes_is_refused_and_changes_nothing(argument, error) -> None:
    settings = SamplingSettings({"temperature": 0.5})
    with pytest.raises(UsageError) as refused:
        settings.set(argument)
    assert str(refused.value) == error
    assert settings.given == {"temperature": 0.5}


def test_the_model_s_own_choice_can_be_had_again() -> None:
    settings = SamplingSettings({"temperature": 0.5, "think": True})
    assert settings.set("temperature default") == "temperature as it was by itself"
    assert settings.given == {"think": True}


def test_all_are_listed_and_what_is_in_use() -> None:
    settings = SamplingSettings({"temperature": 0.5, "seed": 7, "think": True})
    facts = {"sampling_defaults": [{"origin": "the catalogue", "values": {"top_p": 0.9}}]}
    lines = list(settings.lines(facts))
    assert [line.split()[0] for line in lines[:-1]] == list(NAMES)
    assert lines[1].split()[:2] == ["temperature", "0.5"]
    assert lines[2].split()[:2] == ["top_p", "-"]
    assert lines[-1] == (
        "tokens are chosen by temperature 0.5 (given), top_p 0.9 (the catalogue), seed 7 (given)"
    )
    assert not settings.is_greedy(facts)
    settings.set("temperature 0")
    assert settings.is_greedy(facts)
    assert not settings.is_greedy({})  # of a server that does not tell
