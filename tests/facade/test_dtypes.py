from __future__ import annotations

import pytest

from aipc.convert.recipe import Recipe
from aipc.convert.targets import TARGETS
from aipc.errors import UsageError
from aipc.facade import float16, int4, int8
from aipc.facade.dtypes import CompilerConfig


def test_defaults_and_order_are_those_of_the_npu_library():
    assert CompilerConfig() == CompilerConfig(False, float16, False)


@pytest.mark.parametrize(
    ("dtype", "recipe"),
    [
        (int4, Recipe("int4", group_size=128, sym=True, ratio=1.0)),
        (int8, Recipe("int8", sym=True)),
        (float16, Recipe("fp16")),
    ],
)
def test_every_dtype_is_a_recipe_that_the_npu_runs(dtype, recipe):
    assert dtype.recipe == recipe
    assert TARGETS["npu"].misfit(recipe) == ""


class TorchType:
    """Written as torch writes its own."""

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return f"torch.{self.name}"


def test_torchs_own_types_are_understood():
    assert CompilerConfig(dtype=TorchType("float16")).dtype is float16
    assert CompilerConfig(dtype=TorchType("int8")).dtype is int8


@pytest.mark.parametrize("dtype", [TorchType("bfloat16"), "int2", None, 4])
def test_another_dtype_is_refused(dtype):
    with pytest.raises(UsageError, match="give int4, int8 or float16"):
        CompilerConfig(dtype=dtype)


def test_training_is_refused():
    with pytest.raises(UsageError, match="can't be trained"):
        CompilerConfig(training=True)
