"""The real small model beside its bare runtime, each in a process of its own."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest

import aipc
from aipc.errors import MeasurementError, PromptTooLong, UsageError
from aipc.measure.bench import bench, result
from aipc.measure.bench.figures import cold_first_token, figures, within
from aipc.measure.bench.lineup import own_options
from aipc.measure.bench.options import BenchOptions
from aipc.measure.bench.plan import BenchPlan
from aipc.measure.bench.workload import cases
from aipc.measure.peers.peers import read_spec
from aipc.models.store import Store
from aipc.session.place import SessionOptions

ON_CPU = SessionOptions(device="cpu", runtime="openvino")


@pytest.fixture(scope="module")
def measured(smollm_gguf, small_store):
    plan = BenchPlan(
        model=str(smollm_gguf),
        wanted=ON_CPU,
        prompts=(8,),
        outputs=(4,),
        batches=(1, 2),
        peers=tuple(map(read_spec, ("openvino_genai", "openvino_batching:defaults"))),
        options=BenchOptions(repeats=2),
    )
    told = []
    return bench.measure(plan, store=small_store, notify=told.append), told


def test_every_participant_ran_what_it_can(measured):
    found, _ = measured
    ours, bare, batching = found.participants
    assert {(one.batch, one.cold) for one in ours.samples} == {(1, True), (1, False), (2, False)}
    assert {one.batch for one in bare.samples} == {1}
    assert "takes a batch as texts alone" in bare.failure
    assert {one.batch for one in batching.samples} == {1, 2}
    assert (ours.failure, batching.failure) == (None, None)


def test_the_peer_has_our_properties_unless_its_defaults_were_asked_for(measured):
    ours, bare, batching = measured[0].participants
    assert ours.properties == bare.properties != {}
    assert batching.properties == {}
    assert ours.artifact == bare.artifact
    assert len(ours.artifact.sha256) == 64
    assert ours.artifact.recipe["weight_format"] == "int8"


def test_the_figures_are_those_of_a_machine(measured):
    found, _ = measured
    for participant in found.participants:
        assert 0 < participant.loads[0].seconds < 300
        assert participant.peak_memory_bytes > participant.artifact.needs.weight_bytes
        assert cold_first_token(participant) > 0
        one = figures(participant, cases(found.workload)[0], found.limits)
        assert 0 < one.step_s <= one.step_p90_s <= one.step_p99_s
        assert 0 < one.decode_share < 3  # the machine's own speed drifts
    assert {ratio.theirs for ratio in within(found)} == {
        "openvino_genai",
        "openvino_batching:defaults",
    }


def test_the_cold_start_is_told_while_it_runs(measured):
    _, told = measured
    assert any(line.startswith("aipc: loaded in ") and "cold first token" in line for line in told)


def test_the_result_is_written_and_reads_back(measured, tmp_path):
    found, _ = measured
    file = tmp_path / "result.json"
    result.write(found, file)
    assert result.read(file) == found
    assert str(Path.home()) not in file.read_text("utf-8")


def test_a_peer_without_a_model_in_its_format_is_refused_before_anything_runs(
    smollm_gguf, small_store
):
    from aipc.session.convert import convert

    folder = convert(str(smollm_gguf), runtime="openvino", store=small_store).path
    plan = BenchPlan(str(folder), ON_CPU, peers=(read_spec("onnxruntime_genai"),))
    with pytest.raises(MeasurementError, match="is no onnx model; give the peer's own"):
        bench.measure(plan, store=small_store)


def test_lengths_beyond_the_context_are_refused_before_anything_runs(smollm_gguf, small_store):
    plan = BenchPlan(str(smollm_gguf), ON_CPU, prompts=(9000,))
    with pytest.raises(PromptTooLong, match="the context holds 8,192"):
        bench.measure(plan, store=small_store)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"prompts": (0,)}, "--prompt takes numbers from 1 up"),
        ({"batches": ()}, "--batch takes numbers from 1 up"),
        ({"outputs": (1,)}, "take 2 or more"),
        ({"peers": (read_spec("optimum"), read_spec("optimum"))}, "names optimum twice"),
    ],
)
def test_a_plan_that_can_not_be_meant(fields, complaint):
    with pytest.raises(UsageError, match=complaint):
        BenchPlan(**fields)


def test_aipc_itself_loads_by_all_words_of_the_user(tmp_path):
    wanted = SessionOptions(device="cpu", probe=False, work="serve", canary=False)
    options = own_options(BenchPlan("phi-3-mini", wanted), Store(tmp_path))
    assert {field.name for field in dataclasses.fields(SessionOptions)} < set(options)
    assert (options["probe"], options["work"], options["canary"]) == (False, "serve", False)
    assert set(options) - {"model"} < set(inspect.signature(aipc.load).parameters)
