"""Mixtures of experts for ONNX Runtime; their float networks are compared in `test_networks`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import networks
import numpy as np
import numpy_scorer
import onnx
import pytest
from onnx_scorer import Scorer

from aipc.artifact.providers import GRAPH_FORMS
from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.onnx.plan import ONNXPlan, plan_onnx
from aipc.convert.quantizers.rtn import asymmetric, dequantize, symmetric
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.errors import ConversionError

INT4 = Recipe("int4", group_size=32, quantizer="rtn")
RECIPES = [
    Recipe("int8", quantizer="rtn"),
    INT4,
    replace(INT4, sym=False),
    replace(INT4, ratio=0.5),
]


@pytest.fixture(scope="module", params=networks.MIXTURES)
def expected(request):
    return networks.Expected(request.param)


@pytest.fixture(scope="module")
def folder(expected, tmp_path_factory):
    return expected.write(tmp_path_factory.mktemp(expected.name))


class Rounded:
    """Weights as an artifact of this layout has them, each row rounded to nearest."""

    def __init__(self, checkpoint, layout):
        self._checkpoint = checkpoint
        self.tensors = checkpoint.tensors
        self._encodings = {
            tensor: stored.encoding
            for stored in layout.matrices.values()
            for tensor in stored.matrix.tensors
        }

    def rows(self, name, start=0, stop=None):
        rows = self._checkpoint.rows(name, start, stop)
        encoding = self._encodings.get(name)
        if encoding is None or encoding.bits == 16:
            return rows
        method = symmetric if encoding.sym else asymmetric
        return dequantize(method(rows, encoding.bits, encoding.group))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.tag)
def test_quantized_experts_are_the_quantizers_own(recipe, folder, converted_to_onnx):
    with open_checkpoint(folder) as checkpoint:
        made = plan_onnx(checkpoint, recipe)
        rounded = Rounded(checkpoint, made.layout)
        wanted = numpy_scorer.network_scores(rounded, made.network, networks.LONG)
    got = Scorer(converted_to_onnx(folder, recipe)).logits(networks.LONG)
    assert np.abs(got - wanted).max() < 1e-3


@pytest.mark.parametrize("recipe", [Recipe("fp16"), INT4], ids=lambda recipe: recipe.tag)
def test_nothing_but_one_operator_a_block_reads_experts(
    recipe, expected, folder, converted_to_onnx
):
    """It reads the chosen ones; benchmarks/experts.py times that."""
    artifact = converted_to_onnx(folder, recipe)
    graph = onnx.load(artifact / "model.onnx", load_external_data=False).graph
    with open_checkpoint(folder) as checkpoint:
        mixtures = read_network(checkpoint).mixtures
    kind = "MoE" if recipe.weight_format == "fp16" else "QMoE"
    counts = {(kind, one.router.active) for one in mixtures}
    found = [node for node in graph.node if node.op_type in {"MoE", "QMoE"}]
    assert len(found) == len(mixtures) > 0
    assert {(node.op_type, node.attribute[_k(node)].i) for node in found} == counts
    stacked = {one.name for one in graph.initializer if one.name.endswith(".experts")}
    assert stacked
    kinds = {node.op_type for node in graph.node if stacked.intersection(node.input)}
    assert kinds <= {kind, "Cast"}


def _k(node):
    return [one.name for one in node.attribute].index("k")


def test_cudas_graph_computes_the_same_on_the_cpus_kernels(folder, converted_to_onnx):
    artifact = converted_to_onnx(folder, INT4, "cuda")
    with open_checkpoint(folder) as checkpoint:
        made = plan_onnx(checkpoint, INT4, find_target("cuda", "onnx"))
        rounded = Rounded(checkpoint, made.layout)
        wanted = numpy_scorer.network_scores(rounded, made.network, networks.LONG)
    got = Scorer(artifact).logits(networks.LONG)
    # where experts score nearly alike, float16 may choose another one, which later tokens see
    assert np.median(np.abs(got - wanted).max(-1)) < 2e-2


@pytest.mark.parametrize("target", sorted(GRAPH_FORMS))
def test_a_provider_without_right_operators_is_refused(target, expected, folder):
    lacks = "mixture of experts"
    if target == "directml" and expected.name in networks.HYBRID:
        lacks = "convolve or remember"
    with open_checkpoint(folder) as checkpoint:
        if target in {"cpu", "cuda"}:
            plan_onnx(checkpoint, INT4, find_target(target, "onnx"))
            return
        with pytest.raises(ConversionError, match=rf"(?i){lacks}.* {target}.*; .*for cpu"):
            plan_onnx(checkpoint, INT4, find_target(target, "onnx"))


def test_another_activation_is_refused(folder):
    with open_checkpoint(folder) as checkpoint:
        network = replace(read_network(checkpoint), activation="gelu_tanh")
    with pytest.raises(ConversionError, match=r"activation gelu_tanh.*--runtime openvino"):
        ONNXPlan.check(network, find_target("cpu", "onnx"))


def test_both_matrices_of_experts_keep_eight_bits_together(folder):
    with open_checkpoint(folder) as checkpoint:
        made = plan_onnx(checkpoint, replace(INT4, ratio=0.5))
    bits = Counter(
        tuple(made.encodings[matrix.name].bits for matrix in (*one.gate_up, one.down))
        for one in made.network.mixtures
    )
    assert set(bits) <= {(4, 4), (8, 8)}
