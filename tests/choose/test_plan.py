from __future__ import annotations

import dataclasses

import pytest

from aipc.choose import choose
from aipc.convert.recipe import Recipe
from aipc.errors import ArtifactError, DeviceError, UsageError


def test_int4_on_a_cpu_with_bf16_gets_f32(artifact, machine):
    plan = choose(artifact(), [machine["amx"]])
    assert plan.device == "CPU"
    assert plan.properties["INFERENCE_PRECISION_HINT"] == "f32"
    assert any("INFERENCE_PRECISION_HINT=f32" in reason for reason in plan.why)


@pytest.mark.parametrize(("recipe", "cpu"), [(Recipe("fp16"), "amx"), (Recipe("int4"), "cpu")])
def test_no_rule_no_property(recipe, cpu, artifact, machine):
    assert choose(artifact(recipe), [machine[cpu]]).properties == {}


def test_the_users_property_is_kept_and_the_rest_of_the_rule_holds(artifact, machine):
    asked = {"INFERENCE_PRECISION_HINT": "bf16"}
    plan = choose(artifact(), [machine["amx"]], properties=asked)
    assert plan.properties["INFERENCE_PRECISION_HINT"] == "bf16"
    assert "DYNAMIC_QUANTIZATION_GROUP_SIZE" in plan.properties


def test_a_device_asked_for_is_taken_and_its_reason_told(artifact, machine):
    plan = choose(artifact(), [machine["amx"], machine["igpu"]], device="gpu")
    assert (plan.device, plan.why[0], plan.device_name) == ("GPU", "GPU: requested", "A GPU")


def test_what_is_not_here_is_an_error(artifact, machine):
    with pytest.raises(DeviceError, match="no GPU"):
        choose(artifact(), [machine["amx"]], device="gpu")


def test_a_runtime_that_is_none_is_refused(artifact, machine):
    with pytest.raises(UsageError, match="unknown runtime"):
        choose(artifact(), [machine["amx"]], runtime="torch")


def test_another_runtime_than_the_artifacts_is_refused(onnx_artifact, machine):
    with pytest.raises(ArtifactError, match="was made for onnx, not for openvino"):
        choose(onnx_artifact(), [machine["amx"]], runtime="openvino")


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (Recipe("int4", sym=False), "asymmetric"),
        (Recipe("int4", ratio=0.6), "ratio is 0.6"),
        (Recipe("int4", group_size=64), "group size is 64"),
        (Recipe("int4", embedding="int4"), "embedding is in groups of 32"),
    ],
)
def test_a_recipe_that_the_npu_can_not_run_is_refused_when_asked_for(
    recipe, why, artifact, machine, npu_generates
):
    with pytest.raises(ArtifactError, match=f"{why}; convert the model again with --for npu"):
        choose(artifact(recipe), [machine["amx"], machine["npu"]], device="npu")


@pytest.mark.parametrize(
    ("here", "taken"),
    [
        (["cpu", "igpu", "npu"], "NPU"),
        (["cpu", "igpu"], "GPU"),
        (["cpu", "arc", "npu"], "GPU.1"),
        (["cpu"], "CPU"),
        (["cpu", "cuda"], "CPU"),
    ],
)
def test_auto_takes_the_first_of_the_order_that_its_runtime_reaches(
    here, taken, artifact, machine, npu_generates
):
    plan = choose(artifact(), [machine[name] for name in here])
    assert plan.device == taken
    assert "nothing was measured" in plan.why[0]


def test_auto_passes_over_an_npu_that_the_recipe_does_not_suit(artifact, machine, npu_generates):
    here = [machine["cpu"], machine["npu"]]
    plan = choose(artifact(Recipe("int4", sym=False)), here)
    assert plan.device == "CPU"
    assert plan.why[1].startswith("NPU: passed over, the NPU can't run 'model': its weights are")


def test_auto_passes_over_a_gpu_that_is_too_small(artifact, machine, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights").write_bytes(b"w" * 5000)
    small = dataclasses.replace(machine["arc"], memory_bytes=4000)
    plan = choose(artifact(), [machine["cpu"], small])
    assert plan.device == "CPU"
    assert "passed over, it has 0.0 GB" in plan.why[1]


def test_what_was_measured_goes_before_the_order_and_the_rules(artifact, machine, tuned):
    here = [machine["amx"], machine["igpu"], machine["npu"]]
    plan = choose(artifact(), here, tuned=tuned("CPU", {"NUM_STREAMS": "1"}))
    assert (plan.device, plan.properties) == ("CPU", {"NUM_STREAMS": "1"})
    assert plan.why[0].startswith("CPU: measured here on 2026-11-22 for latency: 131 ms a token")
    assert plan.why[1] == "NUM_STREAMS=1: measured with the device"


def test_the_users_property_wins_over_what_was_measured(artifact, machine, tuned):
    measured = tuned("CPU", {"NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": "f32"})
    plan = choose(artifact(), [machine["amx"]], tuned=measured, properties={"NUM_STREAMS": "2"})
    assert plan.properties == {"NUM_STREAMS": "2", "INFERENCE_PRECISION_HINT": "f32"}


def test_a_device_that_is_gone_is_missed(artifact, machine, tuned):
    with pytest.raises(DeviceError, match="no GPU"):
        choose(artifact(), [machine["amx"]], tuned=tuned("GPU", {}))


@pytest.mark.parametrize(
    ("provider", "here", "taken"),
    [
        ("cuda", ["cpu", "cuda"], "CUDA"),
        ("cuda", ["cpu", "directml"], "CPU"),
        ("dml", ["cpu", "directml"], "DIRECTML"),
        ("webgpu", ["cpu", "webgpu"], "WEBGPU"),
        ("", ["cpu", "cuda"], "CPU"),
    ],
)
def test_an_onnx_folder_goes_where_its_provider_is(provider, here, taken, onnx_artifact, machine):
    plan = choose(onnx_artifact(provider), [machine[name] for name in here])
    assert (plan.runtime, plan.device) == ("onnx", taken)
    assert not any("made for onnx" in reason for reason in plan.why)


def test_a_software_device_is_never_taken_by_itself(onnx_artifact, machine):
    made, here = onnx_artifact("webgpu"), [machine["cpu"], machine["software"]]
    plan = choose(made, here)
    assert plan.device == "CPU"
    assert any(reason.startswith("WEBGPU: passed over, the CPU") for reason in plan.why)
    assert choose(made, here, device="webgpu").device == "WEBGPU"


@pytest.mark.parametrize(
    ("facts", "has", "taken"),
    [
        ({"target": "webgpu"}, "old", None),
        ({"target": "webgpu", "activations": "fp16"}, "old", None),
        ({"target": "webgpu", "activations": "fp32"}, "old", "WEBGPU"),
        ({"target": "webgpu", "activations": "fp16"}, "webgpu", "WEBGPU"),
        ({}, "old", "WEBGPU"),
    ],
)
def test_a_graph_in_float16_wants_a_device_that_has_it(facts, has, taken, onnx_artifact, machine):
    made = dataclasses.replace(onnx_artifact("webgpu"), facts=facts)
    here = [machine["cpu"], machine[has]]
    if taken:
        assert choose(made, here, device="webgpu").device == taken
        return
    assert choose(made, here).device == choose(made, here, device="cpu").device == "CPU"
    message = r"computes in fp16, which this device does not; .* --for webgpu --activations fp32"
    with pytest.raises(ArtifactError, match=message):
        choose(made, here, device="webgpu")


def test_one_device_may_want_another_recipe_through_another_runtime(
    artifact, onnx_artifact, machine
):
    whole_rows = Recipe("int4", group_size=-1)
    assert choose(artifact(whole_rows), [machine["cpu"]], device="cpu").device == "CPU"
    facts = {"recipe": dataclasses.asdict(whole_rows)}
    with pytest.raises(ArtifactError, match="group size is -1"):
        choose(dataclasses.replace(onnx_artifact(), facts=facts), [machine["cpu"]], device="cpu")


def test_an_onnx_folder_for_another_provider_is_refused(onnx_artifact, machine):
    with pytest.raises(ArtifactError, match=r"made for the CPU; convert .* with --for cuda"):
        choose(onnx_artifact(), [machine["cpu"], machine["cuda"]], device="cuda")


def test_without_its_wheel_an_onnx_folder_names_it(onnx_artifact, machine):
    cpu = dataclasses.replace(machine["cpu"], runtimes=("openvino",))
    with pytest.raises(DeviceError, match="pip install onnxruntime-genai=="):
        choose(onnx_artifact(), [cpu])


def test_the_npu_is_emulated_when_asked(artifact, machine, npu_generates):
    plan = choose(artifact(), [machine["amx"]], device="npu", emulate=True)
    assert (plan.device, plan.device_name) == ("NPU", "NPU emulated on the CPU")
    assert plan.properties == {
        "NPU_USE_NPUW": "YES",
        "NPUW_DEVICES": "CPU",
        "NPUW_ONLINE_PIPELINE": "NONE",
    }
    assert any("emulation was requested" in reason for reason in plan.why)


@pytest.mark.parametrize("device", ["cpu", "auto", "gpu"])
def test_only_the_npu_is_emulated(device, artifact, machine):
    with pytest.raises(UsageError, match="give --device npu with it"):
        choose(artifact(), [machine["cpu"]], device=device, emulate=True)


def test_an_onnx_folder_is_not_emulated(onnx_artifact, machine):
    with pytest.raises(UsageError, match="convert the model again with --for npu"):
        choose(onnx_artifact(), [machine["cpu"]], device="npu", emulate=True)
