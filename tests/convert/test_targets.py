from __future__ import annotations

import pytest

from aipc.artifact.providers import GRAPH_FORMS
from aipc.convert.recipe import Recipe
from aipc.convert.targets import ALL, SMALL_PARAMETERS, check_recipe, find_target
from aipc.errors import UsageError


@pytest.mark.parametrize("target", ALL, ids=lambda target: f"{target.runtime}-{target.name}")
def test_every_target_can_run_its_own_recipe_and_names_its_source(target):
    for recipe in (target.recipe, target.small):
        assert target.misfit(recipe) == ""
    assert len(target.source) > 20


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (Recipe("int4", sym=False), "asymmetric"),
        (Recipe("int8", sym=False), "asymmetric"),
        (Recipe("int4", ratio=0.6), r"ratio is 0\.6"),
        (Recipe("int4", group_size=32), "group size is 32"),
        (Recipe("int4", embedding="int4"), "embedding is in groups of 32"),
    ],
)
def test_what_an_npu_can_not_run_is_refused_with_what_it_can(recipe, why):
    with pytest.raises(UsageError, match=rf"{why}; give .*--group-size 128 --ratio 1 --sym"):
        check_recipe(find_target("npu"), recipe)


@pytest.mark.parametrize(
    "recipe",
    [Recipe("fp16"), Recipe("int8"), Recipe(group_size=-1), Recipe(all_layers=True)],
    ids=lambda recipe: recipe.tag,
)
def test_what_an_npu_can_run(recipe):
    check_recipe(find_target("npu"), recipe)


def test_a_cpu_runs_everything():
    check_recipe(find_target("cpu"), Recipe("int4", group_size=32, sym=False, ratio=0.3))


@pytest.mark.parametrize("name", ["cpu", "cuda", "directml", "webgpu"])
def test_onnx_runtime_takes_blocks_and_no_whole_rows(name):
    target = find_target(name, "onnx")
    with pytest.raises(UsageError, match=rf"the {name} .* group size is -1; give .*--group-size"):
        check_recipe(target, Recipe("int4", group_size=-1))
    check_recipe(target, Recipe("int4", group_size=32, sym=False, ratio=0.5))
    check_recipe(target, Recipe("int8", sym=False))


@pytest.mark.parametrize(
    ("name", "runtime", "found"),
    [
        ("cpu", "auto", "openvino"),
        ("cpu", "openvino", "openvino"),
        ("cpu", "onnx", "onnx"),
        ("npu", "auto", "openvino"),
        ("cuda", "auto", "onnx"),
        ("webgpu", "onnx", "onnx"),
    ],
)
def test_a_device_brings_its_runtime(name, runtime, found):
    target = find_target(name, runtime)
    assert (target.name, target.runtime) == (name, found)


@pytest.mark.parametrize(
    ("name", "runtime", "message"),
    [
        ("tpu", "auto", "unknown target 'tpu'; choose one of cpu, gpu, npu, cuda, .*webgpu"),
        ("cpu", "tflite", "unknown runtime 'tflite'; choose one of openvino, onnx"),
        ("npu", "onnx", "onnx has no target 'npu'; choose one of cpu, cuda, .*--runtime openvino"),
        ("cuda", "openvino", "openvino has no target 'cuda'; choose one of .*--runtime onnx"),
    ],
)
def test_what_nothing_writes_for_is_refused_with_the_fix(name, runtime, message):
    with pytest.raises(UsageError, match=message):
        find_target(name, runtime)


def test_every_target_of_onnx_runtime_has_its_provider():
    assert list(GRAPH_FORMS) == [target.name for target in ALL if target.runtime == "onnx"]


def test_a_small_network_gets_its_own_recipe():
    target = find_target("cpu")
    assert target.sized(SMALL_PARAMETERS - 1).recipe == Recipe("int8")
    assert target.sized(SMALL_PARAMETERS).recipe == Recipe("int4")


def test_a_webgpu_graph_computes_in_float16_or_where_that_is_missing_in_float32():
    target = find_target("webgpu")
    assert target.fitting(("fp32", "fp16")) == target.fitting(()) == target
    assert target.flags == "--for webgpu"
    assert target.fitting(("fp32",)) == target.computing_in("fp32") != target
    assert target.computing_in("fp32").flags == "--for webgpu --activations fp32"
    assert target.computing_in("fp32").computing_in("fp16") == target


@pytest.mark.parametrize("name", ["cpu", "cuda", "directml", "npu"])
def test_other_targets_have_one_graph(name):
    for target in (one for one in ALL if one.name == name):
        assert target.fitting(("fp32", "fp16")) == target.fitting(("fp32",)) == target


@pytest.mark.parametrize(
    ("name", "activations", "message"),
    [
        ("cuda", "fp32", "no graph for the cuda with onnx .* in fp32; choose fp16"),
        ("webgpu", "bf16", "no graph for the webgpu .* in bf16; choose fp16 or fp32"),
        ("npu", "fp32", "no graph for the npu with openvino .*; leave them out: OpenVINO chooses"),
    ],
)
def test_activations_that_no_graph_has_are_refused(name, activations, message):
    with pytest.raises(UsageError, match=message):
        find_target(name).computing_in(activations)
