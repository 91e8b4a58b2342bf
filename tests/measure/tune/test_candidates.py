from __future__ import annotations

import pytest

from aipc.choose import Artifact
from aipc.choose.plan import rules
from aipc.choose.runtime_device import runtime_devices
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.measure.tune import candidates
from aipc.measure.tune.candidates import recipes, variants

BF16 = ("fp32", "bf16", "int8")
CPU = Device("CPU", "cpu", "A CPU", precisions=BF16, runtimes=("openvino", "onnx"))
PLAIN = Device("CPU", "cpu", "A CPU", precisions=("fp32",), runtimes=("openvino",))
NPU = Device("NPU", "npu", "An NPU", precisions=("fp16",), runtimes=("openvino",))
CUDA = Device("CUDA", "cuda", "A GPU", runtimes=("onnx",))


def test_every_device_through_every_runtime_in_the_default_order():
    found = [(place.device.name, place.runtime) for place in runtime_devices((CPU, NPU, CUDA))]
    assert found == [("CUDA", "onnx"), ("NPU", "openvino"), ("CPU", "openvino"), ("CPU", "onnx")]


def test_what_was_asked_for_narrows_it():
    assert [place.runtime for place in runtime_devices((CPU, NPU), device="CPU")] == [
        "openvino",
        "onnx",
    ]
    assert [place.device for place in runtime_devices((CPU, NPU), runtime="onnx")] == [CPU]


def test_the_default_is_what_an_untuned_session_takes():
    (place, _) = runtime_devices((CPU,))
    setup = place.default()
    assert setup.recipe == Recipe("int4", group_size=128)
    assert setup.properties == {
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128",
    }
    assert runtime_devices((PLAIN,))[0].default().properties == {}


def test_every_rule_is_among_the_candidates_so_that_a_machine_may_prove_it_wrong():
    (place, _) = runtime_devices((CPU,))
    tried = [one.setup.properties for one in variants(place, Recipe("int4"))]
    for rule in rules():
        assert rule.properties in tried
    assert {} in tried


def test_properties_need_their_precisions():
    (place,) = runtime_devices((PLAIN,))
    for one in variants(place, Recipe("int4")):
        assert "INFERENCE_PRECISION_HINT" not in one.setup.properties


def test_weights_that_a_device_can_not_run_are_no_candidates():
    (place,) = runtime_devices((NPU,))
    found = [one.setup.recipe for one in recipes(place, is_bounded=True, for_quality=True)]
    assert Recipe("int4", group_size=-1) in found
    assert all(one.group_size in {128, -1} and one.sym for one in found if "4" in one.tag)


@pytest.mark.parametrize(("bounded", "quality"), [(False, False), (False, True), (True, True)])
def test_coarse_and_slow_weights_wait_to_be_allowed(bounded, quality):
    (place, _) = runtime_devices((CPU,))
    found = recipes(place, is_bounded=bounded, for_quality=quality)
    tags = {one.setup.weights for one in found}
    assert ("int4-row-sym" in tags) == bounded
    assert ("int4-g128-sym-gptq" in tags) == (bounded or quality)
    assert {"int4-g64-sym", "int8-sym"} <= tags


def test_a_small_network_keeps_eight_bits_unless_the_loss_is_bounded():
    """int4 is faster and loses eighty times as much: only who measures the loss may take it."""
    (place, _) = (one.sized(135 * 10**6) for one in runtime_devices((CPU,)))
    found = [one.setup.recipe for one in recipes(place, is_bounded=False, for_quality=True)]
    assert found == [Recipe("int8"), Recipe("fp16")]
    bounded = [one.setup.recipe for one in recipes(place, is_bounded=True, for_quality=False)]
    assert Recipe("int4") in bounded


def test_an_artifact_keeps_its_weights(tmp_path):
    artifact = Artifact(tmp_path, "openvino", "int4", {})
    (place,) = runtime_devices((CPU,), artifact=artifact)
    assert place.default().recipe is None
    assert place.default().properties["INFERENCE_PRECISION_HINT"] == "f32"
    assert list(recipes(place, is_bounded=True, for_quality=True)) == []
    assert len(list(variants(place, None))) > 3


def test_every_line_says_why_and_where_that_stands():
    for entries in candidates._table().values():
        for entry in entries:
            assert entry["why"]
            assert entry["source"]
