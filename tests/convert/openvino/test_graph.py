"""Every shape of network against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import tiny
from openvino_scorer import Scorer

from aipc.convert.recipe import Recipe

FP16 = Recipe(weight_format="fp16")


def relative_error(got, wanted):
    return np.linalg.norm(got - wanted) / np.linalg.norm(wanted)


@pytest.fixture(scope="module", params=tiny.CONFIGS)
def network(request, tiny_checkpoint, converted):
    folder, config, tensors = tiny_checkpoint(request.param)
    return converted(folder, FP16), config, tensors


def test_logits_of_a_whole_sequence_equal_the_reference(network):
    artifact, config, tensors = network
    ids = np.random.default_rng(1).integers(0, 256, 20)
    wanted = reference.logits(config, tensors, ids)
    assert relative_error(Scorer(artifact).logits(ids), wanted) < 2e-3


def test_logits_in_two_pieces_equal_those_in_one(network):
    artifact, config, tensors = network
    ids = np.random.default_rng(2).integers(0, 256, 11)
    scorer = Scorer(artifact)
    pieces = np.concatenate([scorer.logits(ids[:7]), scorer.logits(ids[7:])])
    assert relative_error(pieces, reference.logits(config, tensors, ids)) < 2e-3


def test_64_greedy_tokens_are_identical(network):
    artifact, config, tensors = network
    if "original_max_position_embeddings" in config:
        pytest.skip("the cache is built anew at the rotary switch, which a bare graph can't do")
    prompt = [72, 101, 108, 108, 111]
    sequence = list(prompt)
    for _ in range(64):
        sequence.append(int(reference.logits(config, tensors, np.array(sequence))[-1].argmax()))
    assert Scorer(artifact).greedy(prompt, 64) == sequence[len(prompt) :]


@pytest.mark.parametrize("name", ["phi3-longrope", "phi3-partial-tied"])
@pytest.mark.parametrize("tokens", [11, 12, 13, 30])
def test_long_rope_switches_where_the_sequence_outgrows_the_original_context(
    name, tokens, tiny_checkpoint, converted
):
    folder, config, tensors = tiny_checkpoint(name)
    ids = np.random.default_rng(3).integers(0, 256, tokens)
    wanted = reference.logits(config, tensors, ids)
    assert relative_error(Scorer(converted(folder, FP16)).logits(ids), wanted) < 2e-3


def test_left_padding_changes_nothing(tiny_checkpoint, converted):
    folder, config, tensors = tiny_checkpoint("llama-gqa")
    ids = np.random.default_rng(4).integers(0, 256, 9)
    request = Scorer(converted(folder, FP16)).request
    padded = request.infer(
        {
            "input_ids": np.concatenate([[0, 0, 0], ids])[None],
            "attention_mask": np.array([[0, 0, 0] + [1] * 9]),
            "position_ids": np.array([[1, 1, 1, *range(9)]]),
            "beam_idx": np.zeros(1, np.int32),
        }
    )["logits"][0][3:]
    assert relative_error(padded, reference.logits(config, tensors, ids)) < 2e-3


def test_the_plugin_fuses_what_it_can(tiny_checkpoint, converted):
    """Loose norm or rotary nodes in the runtime graph are lost time (docs/graph.md)."""
    import openvino

    folder, config, _ = tiny_checkpoint("phi3")
    model = converted(folder, FP16) / "openvino_model.xml"
    compiled = openvino.Core().compile_model(model, "CPU")
    kinds = [str(node.get_rt_info()["layerType"].astype(str))
             for node in compiled.get_runtime_model().get_ops()]  # fmt: skip
    layers = config["num_hidden_layers"]
    assert kinds.count("RMS") == 2 * layers + 1
    assert kinds.count("RoPE") == 2 * layers
    assert kinds.count("ScaledDotProductAttention") == layers
    assert kinds.count("FullyConnected") == 4 * layers + 1


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("name", ["phi3", "llama-mha-tied"])
def test_embedding_and_head_in_four_bits_stay_so_in_the_plugin(
    name, sym, tiny_checkpoint, converted
):
    import openvino

    folder, config, _ = tiny_checkpoint(name)
    artifact = converted(folder, Recipe(group_size=32, sym=sym, all_layers=True))
    compiled = openvino.Core().compile_model(artifact / "openvino_model.xml", "CPU")
    table = [config["vocab_size"], config["hidden_size"]]
    readers = [str(node.get_rt_info()["layerType"].astype(str))
               for node in compiled.get_runtime_model().get_ops()
               for source in node.inputs()
               if source.get_element_type().bitwidth == 4
               and source.get_partial_shape().to_shape() == table]  # fmt: skip
    assert sorted(readers) == ["FullyConnected", "Gather"]
