"""Every shape of network, for every provider, against plain numpy.

The graphs for CUDA, DirectML and WebGPU run here on the CPU's float16 kernels: what they compute
is tested, on what it runs is not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
import reference
import tiny
from onnx_scorer import Scorer

from aipc.artifact.providers import GRAPH_FORMS
from aipc.convert.quantizers.rtn import asymmetric, dequantize, symmetric
from aipc.convert.recipe import Recipe

FP16 = Recipe(weight_format="fp16")
NAMES = sorted(set(tiny.CONFIGS) - {"llama-head-dim"})  # whose heads ONNX Runtime refuses
PRECISION = {"f32": 1e-5, "f16": 4e-3}


def relative_error(got, wanted):
    return np.linalg.norm(got - wanted) / np.linalg.norm(wanted)


@pytest.fixture(scope="module", params=NAMES)
def network(request, tiny_checkpoint):
    return tiny_checkpoint(request.param)


@pytest.mark.parametrize("target", GRAPH_FORMS)
def test_logits_of_a_whole_sequence_and_of_two_pieces(network, target, converted_to_onnx):
    folder, config, tensors = network
    ids = np.random.default_rng(1).integers(0, 256, 11)
    wanted = reference.logits(config, tensors, ids)
    scorer = Scorer(converted_to_onnx(folder, FP16, target))
    allowed = PRECISION[GRAPH_FORMS[target].element]
    assert relative_error(scorer.logits(ids), wanted) < allowed
    scorer.reset()
    pieces = np.concatenate([scorer.logits(ids[:7]), scorer.logits(ids[7:])])
    assert relative_error(pieces, wanted) < allowed


def test_webgpus_graph_in_float32_has_no_float16_left(network, converted_to_onnx):
    folder, config, tensors = network
    ids = np.random.default_rng(1).integers(0, 256, 11)
    for recipe in (FP16, Recipe("int8", quantizer="rtn")):
        made = converted_to_onnx(folder, recipe, "webgpu", "fp32")
        graph = onnx.load(made / "model.onnx", load_external_data=False).graph
        values = [*graph.input, *graph.output]
        types = {tensor.data_type for tensor in graph.initializer}
        types |= {value.type.tensor_type.elem_type for value in values}
        assert onnx.TensorProto.FLOAT16 not in types
    exact = Scorer(converted_to_onnx(folder, FP16, "webgpu", "fp32")).logits(ids)
    assert relative_error(exact, reference.logits(config, tensors, ids)) < PRECISION["f32"]


def test_64_greedy_tokens_are_identical(network, converted_to_onnx):
    folder, config, tensors = network
    if "original_max_position_embeddings" in config:
        pytest.skip("the cache is built anew at the rotary switch, which a bare graph can't do")
    prompt = [72, 101, 108, 108, 111]
    sequence = list(prompt)
    for _ in range(64):
        sequence.append(int(reference.logits(config, tensors, np.array(sequence))[-1].argmax()))
    assert Scorer(converted_to_onnx(folder, FP16)).greedy(prompt, 64) == sequence[len(prompt) :]


@pytest.mark.parametrize("name", ["phi3-longrope", "phi3-partial-tied"])
@pytest.mark.parametrize("target", ["cpu", "directml"])
@pytest.mark.parametrize("tokens", [11, 12, 13, 30])
def test_long_rope_switches_where_the_sequence_outgrows_the_original_context(
    name, target, tokens, tiny_checkpoint, converted_to_onnx
):
    folder, config, tensors = tiny_checkpoint(name)
    ids = np.random.default_rng(3).integers(0, 256, tokens)
    wanted = reference.logits(config, tensors, ids)
    scorer = Scorer(converted_to_onnx(folder, FP16, target))
    assert relative_error(scorer.logits(ids), wanted) < PRECISION[GRAPH_FORMS[target].element]


RECIPES = [
    replace(recipe, quantizer="rtn")
    for recipe in (
        Recipe("int8"),
        Recipe("int8", sym=False),
        Recipe("int4", group_size=32),
        Recipe("int4", group_size=32, sym=False),
        Recipe("int4", group_size=32, sym=False, embedding="int4"),
        Recipe("int4", group_size=32, sym=False, all_layers=True),
    )
]


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        pytest.param(name, recipe, id=f"{name}-{recipe.tag}")
        for name in ("llama-gqa", "phi3-partial-tied", "qwen2")
        for recipe in RECIPES
        # an embedding that is the head too has no format of its own
        if recipe.embedding == Recipe.embedding or not tiny.CONFIGS[name]["tie_word_embeddings"]
    ],
)
def test_quantized_weights_are_the_quantizers_own(name, recipe, tiny_checkpoint, converted_to_onnx):
    """Against the reference on the weights of the codes, to float32's precision.

    A small network's codes of 8 bits are in blocks of 16, and its queries, keys and values keep
    16 bits.
    """
    folder, config, tensors = tiny_checkpoint(name)
    ids = np.random.default_rng(5).integers(0, 256, 9)
    wanted = reference.logits(config, rounded(tensors, recipe), ids)
    artifact = converted_to_onnx(folder, recipe)
    assert relative_error(Scorer(artifact).logits(ids), wanted) < 1e-5
    # with activations rounded to 8 bits, as in an artifact for the CPU
    assert relative_error(Scorer(artifact, exact=False).logits(ids), wanted) < 5e-2


QUERY_KEY_VALUE = ("q_proj", "k_proj", "v_proj", "qkv_proj")


def rounded(tensors, recipe, eight_bit_block=16):
    method = symmetric if recipe.sym else asymmetric

    def one(name, values):
        if values.ndim == 1:
            return values
        in_four = {
            "embed_tokens": recipe.embedding == "int4" and "lm_head.weight" in tensors,
            "lm_head": False,
        }
        own = next((four for part, four in in_four.items() if part in name), True)
        if recipe.weight_format == "int8" and any(part in name for part in QUERY_KEY_VALUE):
            return values.astype(np.float16).astype(np.float32)
        in_eight = recipe.weight_format == "int8" or not (own or recipe.all_layers)
        return dequantize(method(values, 8, eight_bit_block) if in_eight else method(values, 4, 32))

    return {name: one(name, values) for name, values in tensors.items()}


def test_float16_providers_run_quantized_weights_too(tiny_checkpoint, converted_to_onnx):
    folder, config, tensors = tiny_checkpoint("phi3")
    ids = np.random.default_rng(6).integers(0, 256, 9)
    recipe = Recipe("int4", group_size=32, sym=False, quantizer="rtn")
    wanted = reference.logits(config, rounded(tensors, recipe, eight_bit_block=32), ids)
    for target in ("cuda", "directml", "webgpu"):
        got = Scorer(converted_to_onnx(folder, recipe, target)).logits(ids)
        assert relative_error(got, wanted) < PRECISION["f16"]


@pytest.mark.parametrize("target", GRAPH_FORMS)
def test_the_operators_are_those_that_onnx_runtime_has_fused_kernels_for(
    target, tiny_checkpoint, converted_to_onnx
):
    folder, config, _ = tiny_checkpoint("phi3")
    artifact = converted_to_onnx(folder, Recipe("int4", group_size=32), target)
    graph = onnx.load(artifact / "model.onnx", load_external_data=False).graph
    kinds = Counter(node.op_type for node in graph.node)
    layers = config["num_hidden_layers"]
    joint = GRAPH_FORMS[target].turns_inside
    assert kinds["GroupQueryAttention"] == layers
    assert kinds["SkipSimplifiedLayerNormalization"] == 2 * layers
    assert kinds["MatMulNBits"] == (5 if joint else 7) * layers + 1
    assert kinds["RotaryEmbedding"] == (0 if joint else 2 * layers)
    assert kinds["GatherBlockQuantized"] == 1
    assert kinds["MatMul"] == kinds["Transpose"] == 0


@pytest.mark.parametrize("target", GRAPH_FORMS)
def test_types_names_and_weights_are_what_the_format_asks_for(
    target, tiny_checkpoint, converted_to_onnx
):
    folder, _, _ = tiny_checkpoint("llama-mha-tied")
    artifact = converted_to_onnx(folder, Recipe("int4", group_size=32, sym=False), target)
    model = onnx.load(artifact / "model.onnx", load_external_data=False)
    check_but_for_microsofts_own(model)
    element = {"f32": onnx.TensorProto.FLOAT, "f16": onnx.TensorProto.FLOAT16}
    wanted = element[GRAPH_FORMS[target].element]
    floats = {one.name: one.type.tensor_type.elem_type
              for one in [*model.graph.input, *model.graph.output]
              if not one.name.endswith(("_ids", "_mask"))}  # fmt: skip
    assert set(floats.values()) == {wanted}
    size = (artifact / "model.onnx.data").stat().st_size
    for one in model.graph.initializer:
        if one.external_data:
            external = {entry.key: entry.value for entry in one.external_data}
            assert external["location"] == "model.onnx.data"
            assert int(external["offset"]) + int(external["length"]) <= size
            assert one.data_type in {wanted, onnx.TensorProto.UINT8}
    assert (artifact / "model.onnx").stat().st_size < 100_000


def check_but_for_microsofts_own(model):
    """Onnx's checker on all that it knows: ONNX Runtime's simplified norm has no schema there."""
    from onnx import checker

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type == "SimplifiedLayerNormalization":
            node.domain = "com.microsoft"
    for one in copy.graph.initializer:
        if one.external_data:
            del one.external_data[:]
            one.data_location = onnx.TensorProto.DEFAULT
            size = {1: 4, 10: 2, 2: 1}[one.data_type]
            one.raw_data = bytes(int(np.prod(one.dims)) * size)
    checker.check_model(copy)


def test_tied_embeddings_lie_in_the_file_once(tiny_checkpoint, converted_to_onnx):
    folder, config, _ = tiny_checkpoint("llama-mha-tied")
    artifact = converted_to_onnx(folder, Recipe("int4", group_size=32))
    graph = onnx.load(artifact / "model.onnx", load_external_data=False).graph
    offsets = {
        one.name: next(entry.value for entry in one.external_data if entry.key == "offset")
        for one in graph.initializer
        if one.name.startswith("embedding")
    }
    assert offsets["embedding"] == offsets["embedding.flat"]
    wanted = {"embedding.flat": [260, 64], "embedding": [260, 4, 16]}
    dims = {one.name: list(one.dims) for one in graph.initializer}
    assert {name: dims[name] for name in wanted} == wanted
    assert config["tie_word_embeddings"]
