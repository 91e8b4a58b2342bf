"""Planted outcomes of a probe, and the choice that is right for each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aipc.choose.probe.choice import choose_probed
from aipc.choose.probe.prediction import Prediction
from aipc.choose.probe.probe import Probed, ProbeResult
from aipc.choose.probe.work import KINDS_OF_WORK, KindOfWork, work_of

GB = 10**9
FREE = 16 * GB
RUN, CHAT, SERVE, DOCUMENT = (KINDS_OF_WORK[name] for name in ("run", "chat", "serve", "document"))

# Phi-3-mini's size on two cores without AVX-512 (docs/speed.md), in seconds
SLOW_START = Prediction(load_s=3.8, cold_s=17.8, prompt_s=0.078, token_s=0.280, memory=4500000000)
QUICK_START = Prediction(load_s=5.3, cold_s=2.4, prompt_s=0.058, token_s=0.168, memory=2800000000)
# … and with AMX
FAST = Prediction(load_s=3.8, cold_s=13.0, prompt_s=0.009, token_s=0.100, memory=4500000000)
LATE = Prediction(load_s=5.3, cold_s=2.4, prompt_s=0.069, token_s=0.275, memory=2800000000)

HUNG = {"unfit": True, "why": "it was still answering when its time was over"}
CRASHED = {"unfit": True, "why": "it crashed (loading, status -11)"}
COMPILING = {"why": "it was still compiling when its time was over"}


def openvino(prediction=None, **facts):
    return Probed("openvino", "CPU", prediction, **facts)


def onnx(prediction=None, **facts):
    return Probed("onnx", "CPU", prediction, **facts)


def npu(prediction=None, **facts):
    return Probed("openvino", "NPU", prediction, **facts)


def cuda(prediction=None, **facts):
    return Probed("onnx", "CUDA", prediction, **facts)


def choice(*probed, work=CHAT, free=FREE):
    return choose_probed(ProbeResult(5.0, probed), work, free)


@pytest.mark.parametrize(
    ("probed", "work", "taken"),
    [
        # the two processors of docs/speed.md, at each kind of work
        ((openvino(SLOW_START), onnx(QUICK_START)), RUN, ("onnx", "CPU")),
        ((openvino(SLOW_START), onnx(QUICK_START)), CHAT, ("onnx", "CPU")),
        ((openvino(SLOW_START), onnx(QUICK_START)), SERVE, ("onnx", "CPU")),
        ((openvino(SLOW_START), onnx(QUICK_START)), DOCUMENT, ("onnx", "CPU")),
        ((openvino(FAST), onnx(LATE)), RUN, ("openvino", "CPU")),
        ((openvino(FAST), onnx(LATE)), CHAT, ("openvino", "CPU")),
        ((openvino(FAST), onnx(LATE)), SERVE, ("openvino", "CPU")),
        ((openvino(FAST), onnx(LATE)), DOCUMENT, ("openvino", "CPU")),
        # what can't run is passed over, however early in the order
        ((openvino(**CRASHED), onnx(LATE)), CHAT, ("onnx", "CPU")),
        ((openvino(**HUNG), onnx(LATE)), CHAT, ("onnx", "CPU")),
        ((openvino(FAST), onnx(**CRASHED)), CHAT, ("openvino", "CPU")),
        ((npu(**CRASHED), openvino(SLOW_START), onnx(QUICK_START)), CHAT, ("onnx", "CPU")),
        # an accelerator is measured as everything else …
        ((npu(SLOW_START), openvino(FAST)), CHAT, ("openvino", "CPU")),
        ((npu(FAST), openvino(SLOW_START)), CHAT, ("openvino", "NPU")),
        ((cuda(FAST), openvino(LATE), onnx(LATE)), CHAT, ("onnx", "CUDA")),
        # … and one that still compiles keeps its place in the order
        ((npu(**COMPILING), openvino(FAST), onnx(LATE)), CHAT, ("openvino", "NPU")),
        ((cuda(FAST), npu(**COMPILING), openvino(LATE)), CHAT, ("onnx", "CUDA")),
        # alike: the documented order
        (
            (openvino(QUICK_START), onnx(replace(QUICK_START, token_s=0.165))),
            CHAT,
            ("openvino", "CPU"),
        ),
    ],
)
def test_the_least_time_for_the_work_wins(probed, work, taken):
    found = choice(*probed, work=work)
    assert (found.runtime, found.device) == taken
    assert len(found.why) == len(probed)


def test_what_does_not_fit_the_free_memory_is_passed_over():
    found = choice(openvino(FAST), onnx(LATE), free=3 * GB)
    assert found.runtime == "onnx"
    assert found.why[1] == (
        "cpu through OpenVINO: passed over, it takes 4.5 GB of memory, and 3.0 GB are free"
    )


def test_nothing_measured_or_nothing_left_is_no_choice():
    assert choice(openvino(**HUNG), onnx(**CRASHED)) is None
    assert choice(npu(**COMPILING), openvino(**HUNG)) is None
    assert choice(openvino(FAST), onnx(LATE), free=GB) is None


def test_the_work_decides_between_a_quick_start_and_quick_tokens():
    slow = replace(FAST, token_s=0.120, prompt_s=0.012)
    quick = replace(QUICK_START, token_s=0.135, prompt_s=0.05)
    assert choice(openvino(slow), onnx(quick), work=RUN).runtime == "onnx"
    assert choice(openvino(slow), onnx(quick), work=SERVE).runtime == "openvino"


def test_one_line_says_what_was_chosen_and_by_how_much():
    assert choice(openvino(SLOW_START), onnx(QUICK_START)).summary == (
        "cpu through ONNX Runtime: 1.6 times as fast as OpenVINO here"
    )
    assert choice(openvino(FAST), onnx(LATE)).summary == (
        "cpu through OpenVINO: 2.8 times as fast as ONNX Runtime here"
    )
    assert choice(npu(FAST), openvino(LATE)).summary == (
        "npu through OpenVINO: 2.8 times as fast as cpu through OpenVINO here"
    )
    assert choice(openvino(FAST), onnx(FAST)).summary == (
        "cpu through OpenVINO: as fast as ONNX Runtime here"
    )
    assert choice(npu(**COMPILING), openvino(FAST)).summary == (
        "npu through OpenVINO, by the documented order: it was still compiling when its time was "
        "over"
    )
    assert choice(openvino(FAST), onnx(**CRASHED)).summary == (
        "cpu through OpenVINO; cpu through ONNX Runtime is passed over: it crashed (loading, "
        "status -11)"
    )


def test_reasons_have_the_figures_and_the_one_taken_first():
    found = choice(openvino(SLOW_START), onnx(QUICK_START), work=RUN)
    taken, other = found.why
    assert taken == (
        "cpu through ONNX Runtime: predicted from some of its blocks: 32.9 s for a run "
        "(load 5.3 s, first prompt 2.4 s more, 17 prompt tokens a second, 168 ms a token, 2.8 GB)"
    )
    assert other.startswith("cpu through OpenVINO: predicted from some of its blocks: 62.4 s ")


def test_a_server_has_loaded_before():
    work = KindOfWork("x", 100, 10, starts=True)
    assert QUICK_START.seconds(work) == pytest.approx(5.3 + 2.4 + 5.8 + 1.68)
    assert QUICK_START.seconds(replace(work, starts=False)) == pytest.approx(5.8 + 1.68)


def test_a_long_prompt_is_a_document():
    assert work_of("What is the capital of France?") == "run"
    assert work_of("word " * 4000) == "document"
