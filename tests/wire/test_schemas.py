from __future__ import annotations

import json

import pytest

from aipc.generate import Alternative, Text
from aipc.options import describe, from_mapping
from aipc.runtimes.sampling import Sampling
from aipc.wire.errors import HTTPError
from aipc.wire.openai.chat_schemas import ChatRequest
from aipc.wire.openai.completions import CompletionRequest
from aipc.wire.openai.responses_schemas import ResponseRequest
from aipc.wire.schemas import read
from aipc.wire.schemas import tokens_with_logprobs as tokens_of

BODIES = {
    ChatRequest: {"messages": [{"role": "user", "content": "x"}]},
    CompletionRequest: {"prompt": "x"},
    ResponseRequest: {"input": "x"},
}
OPTIONS = {
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 20,
    "min_p": 0.05,
    "repetition_penalty": 1.05,
    "presence_penalty": 1.5,
    "frequency_penalty": -0.5,
}


def parse(kind, **more):
    return read(kind, json.dumps({"model": "m", **BODIES[kind], **more}).encode())


@pytest.mark.parametrize("kind", BODIES)
def test_every_sampling_option_goes_from_the_wire_to_the_session(kind):
    bias = {} if kind is ResponseRequest else {"logit_bias": {"50": -100, "7": 1.5}}
    sampling = parse(kind, **OPTIONS, **bias).sampling(5, 3)
    assert sampling == {**OPTIONS, **bias, "max_new_tokens": 5, "seed": 3}
    assert sampling.keys() | {"logit_bias"} == {declared.name for declared in describe(Sampling)}
    from_mapping(Sampling, sampling)
    assert parse(kind).sampling(None) == {}


@pytest.mark.parametrize("bias", [{"50": -101}, {"50": "1"}, {"x": 1}, {"-1": 1}, [1], 5])
def test_a_bias_is_a_number_within_its_bounds_for_a_token_id(bias):
    with pytest.raises(HTTPError, match=r"^logit_bias"):
        parse(ChatRequest, logit_bias=bias)


@pytest.mark.parametrize("kind", [ChatRequest, CompletionRequest])
def test_a_seed_has_any_sign_and_64_bits(kind):
    assert parse(kind, seed=7, n=3).seeds() == [7, 8, 9]
    assert parse(kind, seed=2**32 - 1, n=2).seeds() == [2**32 - 1, 0]
    assert parse(kind, seed=-1, n=2).seeds() == [None, None]
    folded = [parse(kind, seed=seed).seeds()[0] for seed in (-2, -(2**63), 2**63, 2**64 - 2)]
    assert folded[0] == folded[3]  # the same 64 bits
    assert folded[1] == folded[2]
    assert all(0 <= seed < 2**32 for seed in folded)
    for beyond in (2**64, -(2**63) - 1):
        with pytest.raises(HTTPError, match="64 bits"):
            parse(kind, seed=beyond)


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("name", OPTIONS)
def test_a_sampling_option_has_its_bounds_on_the_wire(kind, name):
    with pytest.raises(HTTPError, match=f"^{name}: "):
        parse(kind, **{name: -3 if name == "top_k" else -2.5})


def test_each_token_has_its_own_text_and_bytes():
    event = Text("a 🙂", (1, 2, 3), (-0.1, -0.2, -0.3), (b"a ", b"\xf0\x9f", b"\x99\x82"))
    assert list(tokens_of(event)) == [
        ("a ", -0.1, b"a ", ()),
        ("\ufffd", -0.2, b"\xf0\x9f", ()),
        ("\ufffd\ufffd", -0.3, b"\x99\x82", ()),
    ]


def test_each_token_has_its_own_alternatives():
    first, second = (Alternative(1, -0.1, "a", b"a"),), (Alternative(2, -0.2, "<end>", b""),)
    event = Text("a", (1, 2), (-0.1, -0.2), (b"", b"a"), (first, second))
    assert list(tokens_of(event)) == [("a", -0.2, b"a", second)]


def test_what_writes_nothing_is_left_out():
    assert list(tokens_of(Text("a", (1, 2), (-0.1, -0.2), (b"a", b"")))) == [("a", -0.1, b"a", ())]
    assert list(tokens_of(Text("", (3,), (-0.1,), (b"stop",)))) == []
    assert list(tokens_of(Text("a", (1,)))) == []
