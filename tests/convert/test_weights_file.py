from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.quantizers import activations, search
from aipc.convert.quantizers.activations import (
    forward,
    matrix_inputs,
    mean_square,
    random_tokens,
    read_matrix,
)
from aipc.convert.quantizers.rtn import symmetric
from aipc.convert.quantizers.search import searched
from aipc.convert.recipe import Recipe
from aipc.convert.weights_file import write_searched
from aipc.errors import CheckpointError, ConversionError

NAMES = ("llama-gqa", "llama-mha-tied", "phi3", "qwen2", "qwen3", "gemma")


def stored_codes(conversion, matrix, path):
    """The packed codes of a matrix, as they stand in the file."""
    array = conversion.layout.matrices[matrix.name].weight
    return np.fromfile(path, np.uint8, array.nbytes, offset=array.offset)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("recipe", [Recipe(group_size=32), Recipe("int8")], ids=lambda r: r.tag)
def test_each_matrix_is_searched_for_what_random_tokens_bring_it(
    name, recipe, tiny_checkpoint, tmp_path
):
    with open_checkpoint(tiny_checkpoint(name)[0]) as checkpoint:
        conversion = plan_openvino(checkpoint, recipe)
        network, path = conversion.network, tmp_path / "weights.bin"
        steps = forward(checkpoint, network, random_tokens(network))
        write_searched(checkpoint, conversion.layout, path, steps)
        found = set()
        for matrix, inputs in matrix_inputs(checkpoint, network, random_tokens(network)):
            stored = conversion.layout.matrices[matrix.name]
            encoding, rows = stored.encoding, read_matrix(checkpoint, matrix)
            codes = searched(rows, encoding.bits, encoding.group, mean_square(inputs))
            packed = conversion.layout.packing.codes(codes, encoding)
            # an input differs in its last digits, as the products' order is another
            same = np.mean(stored_codes(conversion, matrix, path) == packed.view(np.uint8).ravel())
            assert same > 0.995, matrix.name
            found.add(matrix.name)
    assert found >= {m.name for block in network.blocks for m in block.matrices} | {"head"} - (
        {"head"} if network.tied else set()
    )


def test_an_embedding_that_is_no_head_is_rounded_to_nearest(tiny_checkpoint, tmp_path):
    with open_checkpoint(tiny_checkpoint("llama-gqa")[0]) as checkpoint:
        conversion = plan_openvino(checkpoint, Recipe("int8"))
        network, path = conversion.network, tmp_path / "weights.bin"
        steps = forward(checkpoint, network, random_tokens(network))
        write_searched(checkpoint, conversion.layout, path, steps)
        rows = read_matrix(checkpoint, network.embedding)
    rounded = symmetric(rows, 8, network.hidden).codes.view(np.uint8).ravel()
    assert np.array_equal(stored_codes(conversion, network.embedding, path), rounded)


def test_the_weights_are_read_once(tiny_checkpoint, tmp_path, monkeypatch):
    with open_checkpoint(tiny_checkpoint("llama-gqa")[0]) as checkpoint:
        conversion = plan_openvino(checkpoint, Recipe(group_size=32))
        read = []
        plain = checkpoint.rows

        def rows(name, start=0, stop=None):
            found = plain(name, start, stop)
            read.append(found.size if found.ndim == 2 else 0)
            return found

        monkeypatch.setattr(checkpoint, "rows", rows)
        steps = forward(checkpoint, conversion.network, random_tokens(conversion.network))
        write_searched(checkpoint, conversion.layout, tmp_path / "weights.bin", steps)
    network = conversion.network
    looked_up = activations.RANDOM_TOKENS * network.hidden
    assert sum(read) <= sum(m.weights for m in network.matrices()) + looked_up


def test_random_tokens_are_the_same_every_time(tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint("phi3")[0]) as checkpoint:
        network = plan_openvino(checkpoint, Recipe()).network
    first = random_tokens(network)
    assert first.shape == (1, activations.RANDOM_TOKENS)
    assert np.array_equal(first, random_tokens(network))
    assert len(np.unique(first)) > activations.RANDOM_TOKENS / 2
    assert first.max() < network.embedding.rows


def test_no_kernel_outlives_a_conversion(tiny_checkpoint, tmp_path):
    with open_checkpoint(tiny_checkpoint("llama-gqa")[0]) as checkpoint:
        plan_openvino(checkpoint, Recipe("int8")).write(tmp_path)
    assert search._compiled.cache_info().currsize == 0


QUANTIZERS = ("rtn", "search", "gptq", "awq")


def changed_checkpoint(folder, tensor, value):
    """A tiny checkpoint in which one value of one tensor is another."""
    config = tiny.CONFIGS["qwen2"]
    tensors = {
        name: array.astype(np.float32) for name, array in tiny.random_tensors(config).items()
    }
    tensors[tensor].flat[3] = value
    return tiny.write_checkpoint(folder / "qwen2", config, tensors)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "tensor", ["model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.bias"]
)
def test_a_norm_or_bias_that_is_no_number_is_named_before_what_it_reaches(
    quantizer, value, tensor, tmp_path
):
    folder = changed_checkpoint(tmp_path, tensor, value)
    with (
        open_checkpoint(folder) as checkpoint,
        pytest.raises(CheckpointError, match=f"{tensor} holds values that are no numbers"),
    ):
        plan_openvino(checkpoint, Recipe(group_size=32, quantizer=quantizer))


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # numpy's, of the same
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_inputs_that_overflow_are_told_from_weights_and_rounding_does_without_them(
    quantizer, ratio, tmp_path
):
    folder = changed_checkpoint(tmp_path, "model.layers.0.input_layernorm.weight", 1e30)
    (tmp_path / "made").mkdir()
    wrong = pytest.raises(ConversionError, match=r"reaches \S*0\S*q_proj\S* leaves float32's range")
    with open_checkpoint(folder) as checkpoint, nullcontext() if quantizer == "rtn" else wrong:
        recipe = Recipe(group_size=32, quantizer=quantizer, ratio=ratio)
        plan_openvino(checkpoint, recipe).write(tmp_path / "made")
