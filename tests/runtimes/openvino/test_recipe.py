from __future__ import annotations

import numpy as np
import pytest

from aipc.checkpoint import open_checkpoint
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.errors import ArtifactError
from aipc.runtimes.openvino.recipe import (
    Constant,
    check_npu_recipe,
    four_bit_constants,
    npu_misfit,
)


@pytest.fixture
def converted(tiny_source, tmp_path):
    def convert(recipe):
        with open_checkpoint(tiny_source) as checkpoint:
            plan_openvino(checkpoint, recipe).write(tmp_path)
        return tmp_path

    return convert


@pytest.fixture(scope="module")
def tiny_source(tmp_path_factory):
    import tiny

    config = tiny.CONFIGS["phi3"] | {"hidden_size": 256, "intermediate_size": 256}
    return tiny.write_checkpoint(tmp_path_factory.mktemp("phi3"), config, tensors_of(config))


def tensors_of(config):
    import tiny

    return tiny.random_tensors(config)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("fp16"),
        Recipe("int8"),
        Recipe("int8", sym=False),
        Recipe("int4", group_size=128),
        Recipe("int4", group_size=-1),
    ],
    ids=lambda recipe: recipe.tag,
)
def test_what_the_npu_runs_passes(recipe, converted):
    check_npu_recipe(converted(recipe))


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (Recipe("int4", group_size=128, sym=False), "its 4-bit weights are asymmetric"),
        (Recipe("int4", group_size=-1, sym=False), "its 4-bit weights are asymmetric"),
        (Recipe("int4", group_size=64), "its group size is 64"),
    ],
    ids=lambda value: getattr(value, "tag", None),
)
def test_what_it_does_not_is_refused_with_the_command_that_mends_it(recipe, reason, converted):
    with pytest.raises(ArtifactError, match=f"{reason} .*aipc convert MODEL --for npu"):
        check_npu_recipe(converted(recipe))


def test_symmetric_weights_stored_unsigned_pass():
    """NNCF of before 2024 wrote u4 with the one zero point 8."""
    weights = Constant("q_proj", "u4", (64, 2, 128))
    assert npu_misfit([weights, Constant("q_proj/zero_point", "u4", ())]) == ""
    assert npu_misfit([weights, Constant("q_proj/zero_point", "u4", (1, 1, 1))]) == ""
    assert "asymmetric" in npu_misfit([weights, Constant("zp", "u4", (64, 2, 1))])
    assert "asymmetric" in npu_misfit([Constant("zp", "u4", (64, 1))])


def test_constants_are_read_from_the_vendors_own_serialization(tmp_path):
    import openvino as ov
    from openvino import opset15 as ops

    weights = ops.constant(np.ones((4, 2, 32), np.int8), ov.Type.i4, name="weights")
    model = ov.Model([ops.convert(weights, "f16")], [])
    ov.save_model(model, tmp_path / "openvino_model.xml", compress_to_fp16=False)
    assert four_bit_constants(tmp_path / "openvino_model.xml") == [
        Constant("weights", "i4", (4, 2, 32))
    ]


def test_a_damaged_graph_is_an_artifact_error(tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net")
    with pytest.raises(ArtifactError, match="can't be read"):
        check_npu_recipe(tmp_path)
