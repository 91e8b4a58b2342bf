"""Each fault by what was found, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from proofs import CPU, NPU, speed

from aipc.measure.prove.record import (
    EMULATED,
    FAILED,
    NOT_PLACED,
    NOT_TRIED,
    SLOW,
    SOFTWARE,
    TIMED_OUT,
    WRONG,
    FoundCancel,
    FoundPlacement,
    LongAnswer,
    TokenAgreement,
    TrialFailure,
)
from aipc.measure.prove.verdict import find_faults

RIGHT = TokenAgreement("2,000 tokens", 2000, 16, 15, 0.01, 3)


def faults(**found):
    tried = replace(NPU, **({"agreements": (RIGHT,)} | found))
    return [(fault.kind, fault.words) for fault in find_faults(tried, CPU)]


def test_a_sound_device_has_no_fault():
    assert faults(agreements=(RIGHT,)) == []


@pytest.mark.parametrize(
    ("agreed", "shortfall", "is_wrong"), [(8, 0.4, False), (7, 0.4, True), (9, 1.4, True)]
)
def test_wrong_is_less_than_half_of_the_tokens_or_tokens_that_are_unlikely(
    agreed, shortfall, is_wrong
):
    found = faults(agreements=(replace(RIGHT, agreed=agreed, shortfall=shortfall),))
    assert [kind for kind, _ in found] == ([WRONG] if is_wrong else [])
    for _, words in found:
        assert words == (
            f"after a prompt of 2,000 tokens the CPU would have chosen {agreed} of its 16 tokens "
            f"({shortfall:.2g} nats short of the likeliest)"
        )


def test_a_long_answer_that_is_no_text_counts_where_the_cpu_would_not_have_written_it():
    garbage = LongAnswer(100, 0.0, loops=True, odd=0.4)
    assert faults(long_answer=garbage) == [
        (WRONG, "a long answer is no text (40% odd characters)"),
        (WRONG, "a long answer ends in a loop"),
    ]
    assert faults(long_answer=garbage, agreements=(replace(RIGHT, what="a long answer"),)) == []


def test_a_device_of_which_nothing_was_judged_is_not_ok():
    (found,) = faults(agreements=())
    assert found == (NOT_TRIED, "none of its answers was judged, so it may be wrong")


def test_a_cancel_that_does_not_free_the_device():
    assert faults(cancel=FoundCancel(0.1, 1.0, same_after=True)) == []
    (found,) = faults(cancel=FoundCancel(0.1, 61.0, same_after=True))
    assert found == (WRONG, "after a cancel the next answer began only 61.0 s later")


def test_a_counter_that_shows_the_device_idle():
    (found,) = faults(placement=FoundPlacement({}, 0.004, 1.9))
    assert found[0] == NOT_PLACED
    assert found[1].endswith("0.4% busy while it answered, and the process kept 1.9 cores busy")
    assert faults(placement=FoundPlacement({}, 0.5, 1.9)) == []
    assert faults(placement=FoundPlacement({}, None, 1.9)) == []


def test_operators_that_the_cpu_computed():
    (found,) = faults(placement=FoundPlacement({"CPUExecutionProvider": 412}, 0.5, 1.9))
    assert found == (NOT_PLACED, "all of 412 operators were computed on the CPU")
    shared = FoundPlacement({"CPUExecutionProvider": 3, "WebGpuExecutionProvider": 400}, 0.01, 1.9)
    assert faults(placement=shared) == []


def test_slower_than_the_cpu_by_how_much():
    (found,) = faults(speed=speed(0.06, 2000.0))
    assert found == (
        SLOW,
        (
            "a token takes 3.0 times as long as on the CPU through openvino (60.0 ms a token "
            "against 20.0 ms)"
        ),
    )
    (found,) = faults(speed=speed(0.01, 50.0))
    assert found[1].startswith("a prompt takes 4.0 times as long as on the CPU through openvino")
    assert faults(speed=speed(0.021, 190.0)) == []


@pytest.mark.parametrize("claim", [EMULATED, SOFTWARE])
def test_where_the_cpu_computes_on_purpose_neither_place_nor_speed_is_judged(claim):
    placement = FoundPlacement({}, 0.0, 2.0)
    assert faults(claim=claim, speed=speed(1.0, 5.0), placement=placement) == []


def test_the_worst_comes_first():
    wrong = replace(RIGHT, agreed=0, shortfall=9.0)
    failure = TrialFailure("a cancel", "took too long")
    found = faults(agreements=(wrong,), speed=speed(0.06, 50.0), failure=failure)
    assert [kind for kind, _ in found] == [TIMED_OUT, WRONG, SLOW, SLOW]
    crash = TrialFailure("2,000 tokens", "crashed", -11)
    assert faults(failure=crash) == [(FAILED, "its process crashed (status -11) at: 2,000 tokens")]
