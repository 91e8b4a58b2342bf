from __future__ import annotations

import networks
import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.measure.bench.result import Needs
from aipc.measure.bench.roofline import best_possible, read_needs
from aipc.runtimes.limits import Limits, Rate
from aipc.session.convert import convert

NEEDS = Needs(weight_bytes=1_000, cache_bytes_per_token=10, operations_per_token=50)


def test_a_step_reads_the_weights_once_and_the_cache_of_every_sequence():
    limits = Limits(Rate(1000.0, ""), None)
    alone = best_possible(limits, NEEDS, prompt=95, output=10, batch=1)
    assert alone.step_s == pytest.approx((1000 + 10 * 100) / 1000)
    assert alone.prompt_s is None
    both = best_possible(limits, NEEDS, prompt=95, output=10, batch=2)
    assert both.step_s == pytest.approx((1000 + 2 * 10 * 100) / 1000)


def test_a_prompt_multiplies_every_token_with_every_weight():
    limits = Limits(None, Rate(5000.0, ""))
    best = best_possible(limits, NEEDS, prompt=100, output=10, batch=2)
    assert best.prompt_s == pytest.approx(2 * 100 * 50 / 5000)
    assert best.step_s is None


BLOCKS = 30 * (576 * (576 + 2 * 192) + 576 * 576 + 3 * 576 * 1536)
"""Weights of the small model's matrices, embedding and head apart."""
TABLE = 49152 * 576
WIDE = 30 * 576 * (576 + 2 * 192)
"""Weights of query, key and value, which an ONNX artifact has in float32 once loaded."""


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_what_a_converted_model_reads_and_computes(smollm_gguf, small_store, runtime):
    if runtime == "onnx":
        pytest.importorskip("onnx")
    made = convert(str(smollm_gguf), Recipe("int8"), runtime=runtime, store=small_store)
    needs = read_needs(made.path, {})
    assert needs.operations_per_token == 2 * BLOCKS
    # int8 with scales a row, or in float32 a block of 16; the head is the embedding's table
    least = BLOCKS + TABLE
    if runtime == "onnx":
        least = 1.25 * (BLOCKS + TABLE - WIDE) + 4 * WIDE
    assert least < needs.weight_bytes < 1.02 * least


@pytest.mark.parametrize(
    ("recipe", "bytes_of_one"),
    [
        (Recipe("fp16"), 4),  # in float32 once loaded
        (Recipe("int4", group_size=32, quantizer="rtn"), 1 / 2 + 4 / 32),
    ],
    ids=["fp16", "int4"],
)
def test_of_experts_a_token_reads_and_computes_those_that_are_active(
    tmp_path, recipe, bytes_of_one
):
    pytest.importorskip("onnx")
    mixture = networks.Expected("mixtral")
    needs = []
    for active in (1, 4):
        config = mixture.config | {"num_experts_per_tok": active}
        folder = tmp_path / str(active)
        tiny.write_checkpoint(folder, config, mixture.tensors())
        artifact = tmp_path / f"artifact-{active}"
        artifact.mkdir()
        with open_checkpoint(folder) as checkpoint:
            plan_onnx(checkpoint, recipe).write(artifact)
        needs.append(read_needs(artifact, {}))
    one, every = needs
    more = 3 * config["num_hidden_layers"] * 3 * config["hidden_size"] * config["intermediate_size"]
    assert every.weight_bytes - one.weight_bytes == more * bytes_of_one
    assert every.operations_per_token - one.operations_per_token == 2 * more


def test_the_cache_counts_in_the_precision_that_was_asked_for(smollm_gguf, small_store):
    made = convert(str(smollm_gguf), Recipe("int8"), runtime="openvino", store=small_store)
    values = 2 * 30 * 3 * 64
    assert read_needs(made.path, {}).cache_bytes_per_token == values
    wide = read_needs(made.path, {"KV_CACHE_PRECISION": "f16"})
    assert wide.cache_bytes_per_token == 2 * values


def test_a_step_reads_one_row_of_the_table_that_has_something_for_every_block(tmp_path):
    folder = networks.Expected("gemma4").write(tmp_path / "gemma4")
    with open_checkpoint(folder) as opened:
        sizes = {name: one.nbytes for name, one in opened.tensors.items()}
    table = sizes.pop("model.embed_tokens_per_layer.weight")
    assert read_needs(folder, {}).weight_bytes == sum(sizes.values()) > table


def test_a_token_reads_its_experts_alone(tmp_path):
    """Two of four: of the expert's weights half, of all else everything."""
    folder = networks.Expected("mixtral").write(tmp_path / "mixtral")
    with open_checkpoint(folder) as opened:
        of_experts = sum(i.nbytes for i in opened.tensors.values() if ".experts." in i.name)
        table = opened.tensors["model.embed_tokens.weight"].nbytes
        everything = sum(one.nbytes for one in opened.tensors.values())
        needs = read_needs(folder, {})
        assert needs.weight_bytes == everything - table - of_experts // 2
        planned = plan_openvino(opened, Recipe("int4", group_size=32, quantizer="rtn"))
        (made := tmp_path / "made").mkdir()
        planned.write(made)
    stored = planned.layout.matrices.values()
    arrays = [
        (one.matrix, array.nbytes)
        for one in stored
        for array in (one.weight, one.scale)
        if array is not None and one.matrix.name != "embedding"
    ]
    wanted = sum(n // 2 if matrix.experts > 1 else n for matrix, n in arrays)
    wanted += sum(one.array.nbytes for one in planned.layout.vectors.values())
    found = read_needs(made, {})
    assert wanted <= found.weight_bytes < wanted + 4096  # and the graph's own constants
    assert found.operations_per_token == needs.operations_per_token


def test_a_gguf_file_with_a_tied_head_reads_all_of_its_tensors(smollm_gguf):
    with open_checkpoint(smollm_gguf) as opened:
        everything = sum(one.nbytes for one in opened.tensors.values())
    needs = read_needs(smollm_gguf, {})
    assert needs.weight_bytes == everything
    assert needs.operations_per_token == 2 * BLOCKS
