"""A stack has the model's own shapes, and answers in every format as its reference does."""

from __future__ import annotations

from pathlib import Path

import networks
import openvino_scorer
import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.plans.planning import plan_decoder
from aipc.convert.recipe import Recipe
from aipc.convert.stack import StackSize, next_tokens, write_stack
from aipc.convert.targets import find_target
from aipc.runtimes.base import Decoding
from aipc.runtimes.registry import RUNTIMES

EXACT = {
    "openvino": {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"},
    "onnx": {},
}
RECIPES = (
    Recipe("fp16"),
    Recipe("int8"),
    Recipe("int4", group_size=32),
    Recipe("int4", group_size=32, sym=False),
)
PROMPTS = [[1 + at * step % 250 for at in range(8)] for step in (3, 5, 7, 11)]


def plan(folder, runtime, recipe, model_type="phi3"):
    config = tiny.CONFIGS[model_type]
    if not folder.exists():
        tiny.write_checkpoint(folder, config, tiny.random_tensors(config))
    return plan_decoder(open_checkpoint(folder), recipe, find_target("cpu", runtime))


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.tag)
def test_every_format_answers_as_the_reference(runtime, recipe, tmp_path):
    planned = plan(tmp_path / "phi3", runtime, recipe)
    size = StackSize(1, 200)
    write_stack(planned, size, made := made_in(tmp_path))
    engine = RUNTIMES.get(runtime).open(made, "cpu", EXACT[runtime])
    try:
        found = [
            next(iter(engine.start(one, Decoding(1), frozenset())))
            for one in ([token % 200 for token in prompt] for prompt in PROMPTS)
        ]
    finally:
        engine.close()
    prompts = [[token % 200 for token in prompt] for prompt in PROMPTS]
    assert found == list(next_tokens(planned, size, prompts))
    assert len(set(found)) > 1


def test_it_takes_what_its_blocks_and_rows_take(tmp_path):
    planned = plan(tmp_path / "phi3", "openvino", Recipe("int4", group_size=32))
    layers = len(planned.network.blocks)
    sizes = []
    for blocks in (1, layers):
        folder = made_in(tmp_path, str(blocks))
        write_stack(planned, StackSize(blocks, planned.network.embedding.rows), folder)
        sizes.append((folder / planned.weights_file).stat().st_size)
    few_constants = 4096  # the graph's own, after the weights
    assert planned.layout.nbytes <= sizes[1] < planned.layout.nbytes + few_constants
    assert sizes[0] < 0.8 * sizes[1]


@pytest.mark.parametrize("model_type", ["qwen3", "gemma", "qwen2"])
def test_other_networks_have_stacks_too(model_type, tmp_path):
    planned = plan(tmp_path / model_type, "openvino", Recipe("int8"), model_type)
    write_stack(planned, StackSize(1, 64), made := made_in(tmp_path))
    engine = RUNTIMES.get("openvino").open(made, "cpu", EXACT["openvino"])
    try:
        (token,) = engine.start([1, 2, 3], Decoding(1), frozenset())
    finally:
        engine.close()
    assert (token,) == next_tokens(planned, StackSize(1, 64), [[1, 2, 3]])


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
@pytest.mark.parametrize("name", ["lfm2", "qwen3_5"])
def test_a_stack_of_any_height_attends(name, runtime, tmp_path):
    source = networks.Expected(name).write(tmp_path / name)
    target = find_target("cpu", runtime)
    with open_checkpoint(source) as checkpoint:
        planned = plan_decoder(checkpoint, Recipe("int4", group_size=32), target)
        for blocks in (1, 2, 4):
            size = StackSize(blocks, 200)
            write_stack(planned, size, made := made_in(tmp_path, str(blocks)))
            engine = RUNTIMES.get(runtime).open(made, "cpu", EXACT[runtime])
            try:
                (token,) = engine.start([1, 2, 3], Decoding(1), frozenset())
            finally:
                engine.close()
            assert (token,) == next_tokens(planned, size, [[1, 2, 3]])


@pytest.mark.parametrize(
    "name",
    [
        "gemma4",
        "gemma4-dense",
        "granite",
        "smollm3",
        "qwen3_moe",
        "gpt_oss",
        "qwen2_moe",
        "lfm2_moe",
    ],
)
@pytest.mark.parametrize("recipe", RECIPES[:2], ids=lambda recipe: recipe.tag)
def test_networks_whose_blocks_differ_have_stacks_too(name, recipe, tmp_path):
    folder = networks.Expected(name).write(tmp_path / name)
    planned = plan_decoder(open_checkpoint(folder), recipe, find_target("cpu", "openvino"))
    write_stack(planned, size := StackSize(2, 64), made := made_in(tmp_path))
    for prompt in ([token % 64 for token in one] for one in PROMPTS):
        found = openvino_scorer.Scorer(made).logits(prompt)[-1].argmax()
        assert (found,) == next_tokens(planned, size, [prompt])
    assert (made / planned.weights_file).stat().st_size < planned.layout.nbytes


def made_in(folder: Path, name: str = "stack") -> Path:
    made = folder / name
    made.mkdir()
    return made
