"""Networks in which some blocks do not attend: configs, what fuses them, what can't run them."""

from __future__ import annotations

from collections import Counter

import networks
import openvino
import pytest
import tiny
from openvino._offline_transformations import paged_attention_transformation
from openvino_scorer import EXACT

from aipc.artifact.kv_cache import layer_types
from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.network import Attention
from aipc.convert.plans.planning import plan_decoder
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.errors import CheckpointError, ConversionError

FP16 = Recipe(weight_format="fp16")
STATES = {"lfm2": ("PagedCausalConv1D", 3), "qwen3_5": ("PagedGatedDeltaNet", 3)}


def network_of(name, folder, left_out=(), **stated):
    expected = networks.Expected(name)
    config = {key: value for key, value in expected.config.items() if key not in left_out}
    tiny.write_checkpoint(folder, config | stated, expected.tensors())
    with open_checkpoint(folder) as checkpoint:
        return read_network(checkpoint)


@pytest.mark.parametrize(
    ("name", "left_out", "stated"),
    [
        ("lfm2", ["layer_types"], {"full_attn_idxs": [2, 4]}),
        ("lfm2", ["intermediate_size", "block_auto_adjust_ff_dim"], {"block_ff_dim": 144,
                                                                     "block_multiple_of": 32}),
        ("lfm2", ["tie_word_embeddings"], {"tie_embedding": True}),
        ("lfm2", ["conv_bias", "conv_L_cache", "norm_eps", "rope_parameters"], {}),
        ("qwen3_5", ["layer_types"], {}),
        ("qwen3_5", ["layer_types"], {"full_attention_interval": 4}),
        ("qwen3_5", ["linear_conv_kernel_dim"], {"mlp_only_layers": []}),
    ],
)  # fmt: skip
def test_old_and_short_configs_mean_the_same(name, left_out, stated, tmp_path):
    whole = network_of(name, tmp_path / "whole")
    assert network_of(name, tmp_path / "other", left_out, **stated) == whole


@pytest.mark.parametrize("types", [["conv"] * 5, ["conv", "mamba"] * 2 + ["full_attention"]])
def test_other_layers_are_refused(types, tmp_path):
    with pytest.raises(CheckpointError, match="layer_types"):
        network_of("lfm2", tmp_path, layer_types=types)


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("lfm2", {"num_hidden_layers": 10**6}),
        ("lfm2", {"conv_L_cache": 10**9}),
        ("lfm2", {"conv_L_cache": None}),
        ("lfm2", {"block_auto_adjust_ff_dim": True, "block_multiple_of": 0}),
        ("lfm2", {"intermediate_size": "wide"}),
        ("qwen3_5", {"linear_num_value_heads": 10**9}),
        ("qwen3_5", {"linear_num_value_heads": 3}),
        ("qwen3_5", {"linear_key_head_dim": 0}),
        ("qwen3_5", {"linear_key_head_dim": [16]}),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name, stated, tmp_path):
    with pytest.raises(CheckpointError) as refused:
        network_of(name, tmp_path, **stated)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", networks.HYBRID)
def test_the_cache_is_counted_by_the_layers_that_attend(name, tmp_path):
    network = network_of(name, tmp_path)
    attends = [isinstance(block.mixer, Attention) for block in network.blocks]
    types = layer_types(networks.Expected(name).config)
    assert [kind == "full_attention" for kind in types] == attends


@pytest.mark.parametrize("name", STATES)
def test_openvino_fuses_and_pages_every_block(name, tmp_path, converted):
    folder = networks.Expected(name).write(tmp_path / name)
    file = converted(folder, FP16) / "openvino_model.xml"
    model = openvino.Core().read_model(file)
    paged_attention_transformation(model)
    kinds = Counter(node.get_type_name() for node in model.get_ordered_ops())
    kind, count = STATES[name]
    assert kinds[kind] == count
    assert not {"ReadValue", "GroupConvolution", "Loop"} & kinds.keys()
    graph = openvino.Core().compile_model(file, "CPU", EXACT).get_runtime_model()
    run = Counter(node.get_rt_info()["layerType"] for node in graph.get_ordered_ops())
    assert "TensorIterator" not in run


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_converting_twice_gives_the_same_bytes(runtime, tmp_path):
    source = networks.Expected("qwen3_5").write(tmp_path / "checkpoint")
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        with open_checkpoint(source) as checkpoint:
            target = find_target("cpu", runtime)
            plan_decoder(checkpoint, FP16, target).write(tmp_path / name)
        files = sorted((tmp_path / name).glob("*model.*"))
        made.append({file.name: file.read_bytes() for file in files})
    assert len(made[0]) == 2
    assert made[0] == made[1]


@pytest.mark.parametrize(("target", "runtime"), [("npu", "openvino"), ("directml", "onnx")])
def test_what_computes_them_wrongly_or_not_is_refused(target, runtime, tmp_path):
    folder = networks.Expected("lfm2").write(tmp_path)
    with (
        open_checkpoint(folder) as checkpoint,
        pytest.raises(ConversionError, match="convert it for cpu"),
    ):
        plan_decoder(checkpoint, FP16, find_target(target, runtime))
