"""The plugin reads the experts that a token goes through, and no others."""

from __future__ import annotations

from collections import Counter

import networks
import pytest
from openvino_scorer import EXACT

from aipc.convert.recipe import Recipe

RECIPES = (
    Recipe("fp16"),
    Recipe("int8"),
    Recipe("int8", sym=False),
    Recipe("int4", group_size=32),
    Recipe("int4", group_size=32, sym=False),
    Recipe("int4", group_size=-1),
)
PRODUCTS = {
    "gpt_oss": 6,
    "granite4-experts": 9,
    "lfm2_moe": 9,
    "mixtral": 9,
    "olmoe": 9,
    "phimoe": 9,
    "qwen2_moe": 9,
    "qwen3_5_moe": 12,
    "qwen3_moe": 9,
    "qwen3_moe-unnormed": 3,
}
"""Of experts: three a layer, or two where gates and ups are one matrix."""
TILES = {"qwen3_5_moe": 6}
"""Of the delta rule's heads; no tokens are tiled for experts."""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.tag)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_with_the_active_experts_alone(name, recipe, tmp_path, converted):
    import openvino

    folder = converted(networks.Expected(name).write(tmp_path / name), recipe)
    model = openvino.Core().compile_model(folder / "openvino_model.xml", "CPU", EXACT)
    nodes = model.get_runtime_model().get_ops()
    kinds = Counter(node.get_rt_info()["layerType"] for node in nodes)
    assert kinds["GatherMatmul"] == PRODUCTS[name]
    assert kinds["Tile"] == TILES.get(name, 0)
    assert kinds["MatMul"] == 0
