"""Real runtimes timed on stacks of a tiny model, and what goes wrong in their processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.choose.probe.choice import choose_probed
from aipc.choose.probe.prediction import stack_sizes
from aipc.choose.probe.probe import PlannedSetup, Probe, identity, shape
from aipc.choose.probe.times import PROMPT, SHORT, SHORTS, prompts
from aipc.choose.probe.work import KINDS_OF_WORK
from aipc.choose.runtime_device import runtime_devices
from aipc.convert.plans.planning import plan_decoder
from aipc.devices import Device

CPU = Device("CPU", "cpu", "A CPU", runtimes=("openvino", "onnx"))
PLANTED = Path(__file__).parents[2] / "support" / "planted_probe.py"
PLENTY = 10**15
ENOUGH_S = 60.0


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    config = tiny.CONFIGS["phi3"]
    folder = tiny.write_checkpoint(
        tmp_path_factory.mktemp("model") / "phi3", config, tiny.random_tensors(config)
    )
    checkpoint = open_checkpoint(folder)
    return [
        PlannedSetup(one.default(), plan_decoder(checkpoint, one.target.recipe, one.target))
        for one in runtime_devices((CPU,))
    ]


def probe(candidates, folder, runtime="", fault="", limit_s=ENOUGH_S):
    command = (sys.executable, str(PLANTED), runtime, fault) if fault else None
    options = {"command": command} if command else {}
    result = Probe(folder / "scratch", limit_s, **options).run(candidates)
    assert list((folder / "scratch").iterdir()) == []
    return result


def taken(result, work="chat", free=PLENTY):
    found = choose_probed(result, KINDS_OF_WORK[work], free)
    return found and found.runtime


def test_every_runtime_is_measured(candidates, tmp_path):
    result = probe(candidates, tmp_path)
    assert [one.runtime for one in result.probed] == ["openvino", "onnx"]
    for one in result.probed:
        assert (one.unfit, one.why) == (False, "")
        assert one.prediction.load_s > 0
        assert one.prediction.prompt_s > 0
        assert one.prediction.token_s > 0
    assert 0 < result.seconds < ENOUGH_S
    assert taken(result) in {"openvino", "onnx"}


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("crashes", "it crashed (loading, status 134)"),
        ("fails", "it failed: the model could not be loaded: bad instruction"),
        ("answers nonsense", "it answers wrongly: 0 of 4 tokens are right"),
    ],
)
def test_what_goes_wrong_is_passed_over_and_said(fault, why, runtime, candidates, tmp_path):
    result = probe(candidates, tmp_path, runtime, fault)
    other = {"openvino": "onnx", "onnx": "openvino"}[runtime]
    assert taken(result) == other
    wrong = next(one for one in result.probed if one.runtime == runtime)
    assert (wrong.unfit, wrong.why) == (True, why)


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
@pytest.mark.parametrize("stage", ["loading", "answering"])
def test_what_hangs_is_ended_in_time_and_passed_over(stage, runtime, candidates, tmp_path):
    result = probe(candidates, tmp_path, runtime, f"hangs while {stage}", limit_s=12.0)
    other = {"openvino": "onnx", "onnx": "openvino"}[runtime]
    assert taken(result) == other
    wrong = next(one for one in result.probed if one.runtime == runtime)
    assert wrong.why == f"it was still {stage} when its time was over"


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
@pytest.mark.parametrize("fault", ["is slow", "takes all memory"])
def test_what_is_slow_or_too_large_is_not_chosen(fault, runtime, candidates, tmp_path):
    result = probe(candidates, tmp_path, runtime, fault)
    assert taken(result) == {"openvino": "onnx", "onnx": "openvino"}[runtime]


def test_without_time_nothing_is_measured(candidates, tmp_path):
    result = probe(candidates, tmp_path, limit_s=0.0)
    assert [one.prediction for one in result.probed] == [None, None]
    assert taken(result) is None


def test_a_full_disk_is_said(candidates, tmp_path):
    (tmp_path / "scratch").write_text("in the way")
    with pytest.raises(OSError, match="scratch"):
        probe(candidates, tmp_path)


def test_prompts_begin_differently_and_stay_within_the_vocabulary():
    for rows in (64, 256, 8000):
        made = prompts(rows, PROMPT, 3)
        assert len({tuple(prompt[:1]) for prompt in made}) == 3
        assert all(
            0 <= token < rows and len(prompt) == PROMPT for prompt in made for token in prompt
        )
    assert len({prompt[0] for prompt in prompts(64, SHORT, SHORTS)}) == SHORTS


def test_stacks_are_a_part_of_a_large_network_and_all_of_a_small_one(candidates):
    network = candidates[0].plan.network
    sizes = stack_sizes(network)
    assert sizes.large.blocks == len(network.blocks)
    assert sizes.wide.rows == network.embedding.rows


def test_a_shape_has_all_that_speed_depends_on(candidates):
    found = shape(candidates[0].plan.network)
    config = tiny.CONFIGS["phi3"]
    assert found["hidden"] == config["hidden_size"]
    assert found["layers"] == [[4, 2, 16, None, config["num_hidden_layers"]]]
    assert found["vocabulary"] == config["vocab_size"]


def test_another_driver_is_another_candidate():
    (one, _) = runtime_devices((CPU,))
    (other, _) = runtime_devices(
        (Device("CPU", "cpu", "A CPU", driver="2", runtimes=("openvino", "onnx")),)
    )
    assert identity(one, one.default()) != identity(other, other.default())
