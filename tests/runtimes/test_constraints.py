"""Answers that have to match, by every runtime that enforces it; random weights help nobody."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time

import pytest
from openvino_scorer import EXACT

from aipc.errors import EngineError, UsageError
from aipc.generate import Tokenizer
from aipc.generate.structured.constraint import constrain
from aipc.runtimes.base import Constraint, Decoding
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.runtimes.openvino.engine import OpenVINORuntime
from aipc.runtimes.openvino.npu import EMULATION, open_npu
from aipc.runtimes.openvino.static_shape import NpuOptions

PROMPT = (72, 101, 108, 108, 111)
END = frozenset({257})
NAMED = Constraint("regex", "(yes|no)[a-f]{5}")
SCHEMA = {
    "type": "object",
    "properties": {
        "age": {"type": "integer", "minimum": 10, "maximum": 99},
        "kind": {"enum": ["cat", "dog"]},
    },
    "required": ["age", "kind"],
    "additionalProperties": False,
}


def open_openvino(request):
    folder = request.getfixturevalue("tiny_artifact")("llama-gqa")[0]
    return folder, OpenVINORuntime().open(folder, "cpu", EXACT)


def open_lookup(request):
    folder = request.getfixturevalue("tiny_artifact")("llama-gqa")[0]
    return folder, OpenVINORuntime().open(folder, "cpu", {**EXACT, "prompt_lookup": "YES"})


def open_emulated_npu(request):
    folder = request.getfixturevalue("tiny_artifact")("llama-gqa")[0]
    return folder, open_npu(folder, {**EMULATION, **EXACT}, NpuOptions(64, 64))


def open_onnx(request):
    folder = request.getfixturevalue("tiny_onnx")("llama-gqa")[0]
    return folder, ONNXRuntime().open(folder, "cpu", {})


@pytest.fixture(scope="module", params=[open_openvino, open_lookup, open_emulated_npu, open_onnx])
def opened(request):
    folder, engine = request.param(request)
    yield engine, Tokenizer.from_folder(folder)
    engine.close()


@pytest.fixture
def ask(opened):
    """The text of a constrained answer, and the ids that it is made of."""
    engine, tokenizer = opened

    def ask(constraint, tokens=60, stop_ids=END, **decoding):
        asked = Decoding(tokens, constraint=constraint, **decoding)
        ids = list(engine.start(PROMPT, asked, stop_ids))
        return tokenizer.decode([token for token in ids if token not in stop_ids]), ids

    return ask


@pytest.mark.parametrize(
    "decoding",
    [
        {},
        {"temperature": 1.5, "seed": 3},
        {"temperature": 0.8, "top_k": 2, "top_p": 0.5},
        {"repetition_penalty": 3.0},
    ],
)
def test_answer_matches_and_ends_with_a_stop_id(ask, decoding):
    text, ids = ask(NAMED, **decoding)
    assert re.fullmatch(NAMED.text, text)
    assert (ids[-1], len(ids)) == (257, len(text) + 1)


def test_samples_under_a_constraint_differ_by_their_seed_alone(ask):
    def sample(seed):
        return ask(NAMED, temperature=2.0, seed=seed)[0]

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(6)}) > 2


def test_a_schema_is_kept(ask):
    constraint = constrain(SCHEMA).constraint
    text, ids = ask(constraint, temperature=9.0, seed=1, tokens=118)
    assert ids[-1] == 257
    answer = json.loads(text)
    assert answer.keys() == {"age", "kind"}
    assert 10 <= answer["age"] <= 99
    assert answer["kind"] in {"cat", "dog"}


def test_an_expression_that_is_none_is_refused_before_any_token(ask, opened):
    engine, _ = opened
    with pytest.raises(UsageError) as caught:
        engine.start(PROMPT, Decoding(20, constraint=Constraint("regex", "(a")), END)
    assert "\n" not in str(caught.value)
    assert re.fullmatch(NAMED.text, ask(NAMED)[0])  # and nothing is broken by it


def test_a_constraint_without_an_end_is_refused(ask):
    with pytest.raises(UsageError, match="no stop id"):
        ask(NAMED, stop_ids=frozenset())


def test_a_constrained_answer_is_cancelled_like_any(opened, ask):
    engine, _ = opened
    running = engine.start(PROMPT, Decoding(100, constraint=Constraint("regex", "[a-f]*")), END)
    next(running)
    thread = threading.Thread(target=running.cancel)
    thread.start()
    thread.join()
    assert len(list(running)) <= 1
    assert re.fullmatch(NAMED.text, ask(NAMED)[0])


def test_an_answer_in_another_thread_is_not_constrained_along(opened):
    engine, _ = opened
    if "NPU" in engine.device:
        pytest.skip("one at a time")
    alone = list(engine.start(PROMPT, Decoding(20), frozenset()))
    bound = engine.start(PROMPT, Decoding(20, constraint=NAMED), END)
    free = engine.start(PROMPT, Decoding(20), frozenset())
    first = next(bound)
    assert list(free) == alone
    assert [first, *bound][-1] == 257


def test_an_expression_that_explodes_holds_nobody_up(ask, opened, monkeypatch):
    """OpenVINO's engine takes minutes for it and is ended; ONNX Runtime's has limits of its own."""
    monkeypatch.setattr("aipc.runtimes.openvino.grammar_check.COMPILE_S", 1.0)
    explosive = Constraint("regex", "(.{1,999}){1,999}")
    started = time.monotonic()
    if opened[0].facts["runtime"] == "openvino":
        with pytest.raises(UsageError, match="the regex takes more than 2 seconds"):
            ask(explosive, tokens=3)
    else:
        with contextlib.suppress(UsageError, EngineError):
            ask(explosive, tokens=3)
    assert re.fullmatch(NAMED.text, ask(NAMED)[0])
    assert time.monotonic() - started < 30


def test_a_folder_without_tokenizer_files_is_refused(tiny_artifact):
    folder = tiny_artifact("llama-gqa")[0]
    (folder / "openvino_tokenizer.xml").unlink()
    engine = OpenVINORuntime().open(folder, "cpu", {})
    with pytest.raises(EngineError, match=r"needs openvino_tokenizer\.xml"):
        engine.start(PROMPT, Decoding(5, constraint=NAMED), END)
    engine.close()


def test_an_answer_past_the_rotary_switch_is_refused(tiny_artifact):
    engine = OpenVINORuntime().open(tiny_artifact("phi3-longrope")[0], "cpu", {})
    with pytest.raises(UsageError, match=r"can't be kept past 12 tokens.* --max-new-tokens to 8"):
        engine.start(PROMPT, Decoding(9, constraint=NAMED), END)
    engine.close()
