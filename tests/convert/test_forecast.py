from __future__ import annotations

import pytest

from aipc.checkpoint import open_checkpoint
from aipc.convert.forecast import forecast, smaller_recipe
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.convert.targets import TARGETS


@pytest.fixture
def checkpoint(tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint("phi3")[0]) as opened:
        yield opened


def test_what_is_foretold_covers_what_is_written(checkpoint, converted):
    recipe = Recipe("int8")
    coming = forecast(plan_openvino(checkpoint, recipe))
    written = sum(file.stat().st_size for file in converted(checkpoint.path, recipe).iterdir())
    assert written <= coming.nbytes
    assert 0 < coming.seconds < 60
    assert coming.memory > 100e6


def test_the_recipe_that_fits_is_the_least_drastic_one(checkpoint):
    sizes = {
        name: plan_openvino(checkpoint, Recipe(name)).nbytes for name in ("fp16", "int8", "int4")
    }
    wanted = plan_openvino(checkpoint, Recipe("fp16"))
    assert smaller_recipe(wanted, sizes["int8"]) == Recipe("int8")
    assert smaller_recipe(wanted, sizes["int8"] - 1) == Recipe("int4")
    assert smaller_recipe(wanted, 1000) is None


def test_the_recipe_that_fits_is_one_that_the_target_runs(checkpoint):
    wanted = plan_openvino(checkpoint, Recipe("fp16"), TARGETS["npu"])
    found = smaller_recipe(wanted, 10**9)
    assert found is not None
    assert TARGETS["npu"].misfit(found) == ""


def test_calibration_takes_more_and_a_head_in_four_bits_more_again(checkpoint):
    recipes = [
        Recipe(quantizer="rtn"),
        Recipe(),
        Recipe(quantizer="gptq"),
        Recipe(quantizer="gptq", all_layers=True),
    ]
    memory = [forecast(plan_openvino(checkpoint, recipe)).memory for recipe in recipes]
    assert memory == sorted(set(memory))


def test_a_check_takes_time_by_its_tokens_and_memory_for_the_artifact(checkpoint):
    planned = plan_openvino(checkpoint, Recipe("int8"))
    plain, checked = forecast(planned), forecast(planned, checked_tokens=512)
    assert checked.seconds > plain.seconds
    assert checked.memory >= plain.memory
    assert checked.nbytes == plain.nbytes
    many = forecast(planned, checked_tokens=10**9)
    assert many.seconds > 10 * checked.seconds
