from __future__ import annotations

import networks
import pytest

from aipc.checkpoint import open_checkpoint
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


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_what_a_converted_model_reads_and_computes(smollm_gguf, small_store, runtime):
    if runtime == "onnx":
        pytest.importorskip("onnx")
    made = convert(str(smollm_gguf), Recipe("int8"), runtime=runtime, store=small_store)
    needs = read_needs(made.path, {})
    assert needs.operations_per_token == 2 * BLOCKS
    # int8 with scales a row or a block; the head is the embedding's table
    assert BLOCKS + TABLE < needs.weight_bytes < 1.15 * (BLOCKS + TABLE)


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


def test_a_gguf_file_with_a_tied_head_reads_all_of_its_tensors(smollm_gguf):
    with open_checkpoint(smollm_gguf) as opened:
        everything = sum(one.nbytes for one in opened.tensors.values())
    needs = read_needs(smollm_gguf, {})
    assert needs.weight_bytes == everything
    assert needs.operations_per_token == 2 * BLOCKS
