"""Routing as the formulas say, and experts quantized one by one."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from openvino_scorer import Scorer
from threadpoolctl import threadpool_limits

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.feed_forward import Router
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.parts import Matrix
from aipc.convert.quantizers.activations import matrix_inputs, random_tokens, read_matrix
from aipc.convert.quantizers.calibrated import PREPARE, quantize_calibrated
from aipc.convert.quantizers.feed_forward import LEAST_TOKENS, route
from aipc.convert.recipe import Encoding, Recipe

SCORES = np.array([[0.5, 2.0, -1.0, 1.0], [3.0, 2.9, -3.0, 2.95]], np.float32)


def router(weighting, jitter=0.0):
    return Router(Matrix("router", ("router",), 4, 8), None, 2, weighting, jitter)


def softmax(scores):
    return np.exp(scores) / np.exp(scores).sum()


def test_the_active_scores_softmax():
    weights = route(SCORES, router("softmax_active"))
    np.testing.assert_allclose(weights[0, [1, 3]], softmax(SCORES[0, [1, 3]]), rtol=1e-6)
    assert not weights[0, [0, 2]].any()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)


def test_all_scores_softmax():
    weights = route(SCORES, router("softmax"))
    np.testing.assert_allclose(weights[0, [1, 3]], softmax(SCORES[0])[[1, 3]], rtol=1e-6)


def test_sparsemixer_weighs_each_among_those_near_it():
    weights = route(SCORES, router("sparsemixer", 0.01))
    # 3.0 has 2.95 near it (0.05 / 3 <= 0.02), but not 2.9; then 2.95 has 2.9
    np.testing.assert_allclose(weights[1, 0], softmax(SCORES[1, [0, 3]])[0], rtol=1e-6)
    np.testing.assert_allclose(weights[1, 3], softmax(SCORES[1, [3, 1]])[0], rtol=1e-6)
    np.testing.assert_allclose(weights[0, [1, 3]], 1)


@pytest.mark.parametrize("name", ["qwen3_moe", "gpt_oss"])
def test_every_expert_is_shown_some_tokens(name, tmp_path):
    with open_checkpoint(networks.Expected(name).write(tmp_path)) as checkpoint:
        network = read_network(checkpoint)
        found = list(matrix_inputs(checkpoint, network, random_tokens(network)))
    names = [tensor for matrix, _ in found for tensor in matrix.tensors]
    wanted = [tensor for matrix in network.matrices() for tensor in matrix.tensors]
    assert names == [tensor for tensor in wanted if tensor != network.embedding.tensors[0]]
    assert min(len(inputs) for _, inputs in found) >= LEAST_TOKENS


@pytest.mark.parametrize("quantizer", ["awq", "gptq"])
def test_each_expert_is_calibrated_with_its_own_inputs(quantizer, tmp_path):
    with open_checkpoint(networks.Expected("mixtral").write(tmp_path)) as checkpoint:
        network = read_network(checkpoint)
        ids, encoding = random_tokens(network), Encoding(4, 32)
        encodings = {matrix.name: encoding for matrix in network.matrices()}
        with threadpool_limits(1, "blas"):  # as it calibrates: more threads sum in another order
            inputs = dict(matrix_inputs(checkpoint, network, ids))
        found = dict(quantize_calibrated(checkpoint, network, encodings, ids, PREPARE[quantizer]))
        for matrix in network.blocks[1].feed_forward.down.each_expert:
            rows = read_matrix(checkpoint, matrix)
            wanted = PREPARE[quantizer](inputs[matrix])(rows, encoding)
            np.testing.assert_array_equal(found[matrix].codes, wanted.codes)


@pytest.mark.parametrize("name", ["qwen3_moe", "gpt_oss"])
@pytest.mark.parametrize("quantizer", ["rtn", "search", "awq", "gptq"])
def test_every_quantizer_takes_mixtures(quantizer, name, tmp_path):
    """With half of the weights in 8 bits; routers keep 16, and what is written is near the floats.

    A router that chooses another expert changes much: the loss is that of the median token.
    """
    recipe = Recipe("int4", group_size=32, ratio=0.5, quantizer=quantizer)
    stated = networks.Expected(name)
    with open_checkpoint(stated.write(tmp_path / "checkpoint")) as checkpoint:
        planned = plan_openvino(checkpoint, recipe)
        (made := tmp_path / "made").mkdir()
        planned.write(made)
    routers = [one.router.matrix.name for one in planned.network.mixtures]
    bits = {name: encoding.bits for name, encoding in planned.encodings.items()}
    assert {bits[router] for router in routers} == {16}
    assert set(bits.values()) == {4, 8, 16}
    scores = Scorer(made).logits(networks.LONG)[networks.PLACES]
    near = (scores * stated.logits).sum(axis=1)
    near /= np.linalg.norm(scores, axis=1) * np.linalg.norm(stated.logits, axis=1)
    assert np.median(near) > 0.8
