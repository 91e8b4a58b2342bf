from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from aipc.serve.ollama.schemas import UNLIMITED, OllamaBody, OllamaOptions, rfc3339

OPTIONS = {
    "a limit": ({"num_predict": 7}, {"max_new_tokens": 7}),
    "no limit": ({"num_predict": -1}, {"max_new_tokens": UNLIMITED}),
    "to the context's end": ({"num_predict": -2}, {"max_new_tokens": UNLIMITED}),
    "whole numbers written with a point": ({"top_k": 40.0, "seed": 3.0}, {"top_k": 40, "seed": 3}),
    "top_k off": ({"top_k": -1}, {"top_k": 0}),
    "top_p 0": ({"top_p": 0}, {"top_p": 0.001}),
    "a random seed": ({"seed": -1}, {"seed": -1}),
    "a seed of 64 bits": ({"seed": 2**40 + 5}, {"seed": 2**40 + 5}),
    "a negative seed": ({"seed": -2}, {"seed": -2}),
    "penalties": (
        {"repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": -0.5},
        {"repetition_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": -0.5},
    ),
    "penalties of the whole text": (
        {"repeat_penalty": 1.1, "repeat_last_n": -1, "penalize_newline": True},
        {"repetition_penalty": 1.1},
    ),
    "a penalty switched off": (
        {"repeat_penalty": 1.1, "repeat_last_n": 0},
        {"repetition_penalty": 1.0},
    ),
    "a window without a penalty": ({"repeat_last_n": 64, "penalize_newline": False}, {}),
    "what is off": ({"typical_p": 1, "tfs_z": 1.0, "mirostat": 0, "mirostat_tau": 5.0}, {}),
    "how the machine is used": (
        {"num_ctx": 8192, "num_gpu": 1, "num_thread": 8, "use_mmap": True, "low_vram": False},
        {},
    ),
}


@pytest.mark.parametrize(("given", "fields"), OPTIONS.values(), ids=OPTIONS)
def test_options_become_our_own(given, fields):
    assert OllamaOptions.model_validate(given).sampling() == fields


REFUSED = [
    {"typical_p": 0.9},
    {"tfs_z": 2.0},
    {"mirostat": 1},
    {"repeat_penalty": 1.1, "repeat_last_n": 64},
    {"repeat_penalty": 1.1, "penalize_newline": False},
    {"num_predict": -3},
    {"top_k": 40.5},
    {"seed": "1"},
]


@pytest.mark.parametrize("given", REFUSED, ids=str)
def test_an_option_that_would_change_the_answer_is_refused(given):
    with pytest.raises(ValidationError) as caught:
        OllamaOptions.model_validate(given)
    assert caught.value.errors()[0]["loc"][0] == [*given][-1]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (0, 0.0),
        ("0", 0.0),
        (90, 90.0),
        (0.5, 0.5),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        (-1, math.inf),
        ("-1m", math.inf),
    ],
)
def test_a_time_to_stay_loaded_is_a_number_or_a_duration(given, seconds):
    assert OllamaBody.model_validate({"model": "x", "keep_alive": given}).keep_s == seconds


@pytest.mark.parametrize("given", ["", "5", "5 m", "m", "1d", True, []])
def test_another_time_is_refused(given):
    with pytest.raises(ValidationError):
        OllamaBody.model_validate({"model": "x", "keep_alive": given})


def test_moments_are_written_as_go_reads_them():
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
