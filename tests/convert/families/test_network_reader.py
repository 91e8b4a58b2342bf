from __future__ import annotations

import json

import networks
import numpy as np
import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.errors import CheckpointError, UnsupportedModel


def described(folder, config, tensors):
    with open_checkpoint(tiny.write_checkpoint(folder, config, tensors)) as checkpoint:
        return read_network(checkpoint)


def test_a_network_is_described_from_config_and_tensors(tmp_path):
    config = tiny.CONFIGS["phi3-window"]
    network = described(tmp_path, config, tiny.random_tensors(config))
    one = network.blocks[0].mixer
    assert (network.hidden, one.heads, one.kv_heads, one.window) == (64, 4, 2, 7)
    assert network.blocks[1].mixer.query_key_value.tensors == (
        "model.layers.1.self_attn.qkv_proj.weight",
    )
    assert not network.tied


def test_a_window_as_wide_as_the_context_is_no_window(tmp_path):
    config = tiny.PHI3 | {"sliding_window": 128}
    network = described(tmp_path, config, tiny.random_tensors(config))
    assert [one.window for one in network.attentions] == [None, None]


def test_a_window_counts_in_a_context_that_was_stretched_beyond_it(tmp_path):
    yarn = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 128}
    config = tiny.PHI3 | {"sliding_window": 128, "rope_scaling": yarn}
    network = described(tmp_path, config, tiny.random_tensors(config))
    assert network.context == 256
    assert [one.window for one in network.attentions] == [128, 128]


@pytest.mark.parametrize(
    ("name", "left_out", "stated"),
    [
        ("gemma2", "attn_logit_softcapping", {"attn_logit_softcapping": 50.0}),
        ("gemma2", "final_logit_softcapping", {"final_logit_softcapping": 30.0}),
        ("gemma2", "sliding_window", {"sliding_window": 4096}),
        ("gemma3", "sliding_window", {"sliding_window": 4096}),
        ("gemma4", "sliding_window", {"sliding_window": 512}),
        ("ministral", "sliding_window", {"sliding_window": 4096}),
        ("mistral-yarn", "sliding_window", {"sliding_window": 4096}),
        ("olmo3", "sliding_window", {"sliding_window": 4096}),
    ],
)
def test_what_a_config_leaves_out_is_transformers_default(tmp_path, name, left_out, stated):
    expected = networks.Expected(name)
    config = expected.config | {"max_position_embeddings": 8192}
    without = {key: value for key, value in config.items() if key != left_out}
    found = described(tmp_path / "without", without, expected.tensors())
    assert found == described(tmp_path / "stated", config | stated, expected.tensors())
    assert found != described(tmp_path / "null", config | {left_out: None}, expected.tensors())


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("smollm3", "no_rope_layers", [1, 0]),
        ("smollm3", "no_rope_layers", "1010"),
        ("gemma4", "num_kv_shared_layers", 5),
        ("gemma4", "num_kv_shared_layers", 6),
        ("gemma4", "num_kv_shared_layers", 7),
        ("gemma4", "per_layer_config", [1]),
    ],
)
def test_what_layers_are_said_to_have_fits_them(tmp_path, name, key, value):
    expected = networks.Expected(name)
    with pytest.raises(CheckpointError, match=f"garbles {key}"):
        described(tmp_path, expected.config | {key: value}, expected.tensors())


def test_of_two_spellings_of_rotary_settings_the_old_one_counts(tmp_path):
    tensors, linear = tiny.random_tensors(tiny.LLAMA), {"rope_type": "linear", "factor": 4.0}
    both = {"rope_scaling": linear, "rope_parameters": {"rope_type": "default"}}
    one = described(tmp_path / "one", tiny.LLAMA | {"rope_scaling": linear}, tensors)
    assert described(tmp_path / "both", tiny.LLAMA | both, tensors) == one


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "mamba"}, "known networks: llama, phi3"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"model_type": "mistral", "attention_bias": True}, "attention_bias"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"rope_scaling": {"type": "llama3"}}, "incomplete"),
        ({"rope_scaling": {"type": "spiral"}}, "spiral"),
        ({"partial_rotary_factor": 0.5}, "rotates 8 of 16 dimensions"),
        ({"layer_types": ["mamba", "full_attention"]}, "layers of the kind 'mamba'"),
        ({"num_local_experts": 8}, "num_local_experts"),
    ],
)
def test_what_the_graph_would_compute_wrongly_is_refused_by_name(tmp_path, change, named):
    with pytest.raises(UnsupportedModel, match=named):
        described(tmp_path, tiny.LLAMA | change, tiny.random_tensors(tiny.LLAMA))


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "rms_norm_eps", "vocab_size"])
@pytest.mark.parametrize("value", [None, "many", 0])
def test_a_config_that_lacks_or_garbles_a_size_is_one_clear_error(tmp_path, key, value):
    if (key, value) == ("rms_norm_eps", 0):
        pytest.skip("a number like any other")
    with pytest.raises((CheckpointError, UnsupportedModel)):
        described(tmp_path, tiny.LLAMA | {key: value}, tiny.random_tensors(tiny.LLAMA))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("smollm3", "no_rope_layers", [1]),
        ("gemma4", "per_layer_config", "many"),
    ],
)
def test_a_garbled_option_of_a_network_is_one_clear_error(tmp_path, name, key, value):
    known = networks.Expected(name)
    with pytest.raises(CheckpointError, match=r"config\.json lacks or garbles"):
        described(tmp_path, known.config | {key: value}, known.tensors())


def test_a_missing_tensor_is_named(tmp_path):
    tensors = tiny.random_tensors(tiny.LLAMA)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.up_proj\.weight is missing"):
        described(tmp_path, tiny.LLAMA, tensors)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path):
    tensors = tiny.random_tensors(tiny.LLAMA)
    tensors["model.norm.weight"] = np.ones(63, np.float32)
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight has shape \[63\].*\[64\]"):
        described(tmp_path, tiny.LLAMA, tensors)


def test_tensors_that_the_graph_would_ignore_are_refused(tmp_path):
    tensors = tiny.random_tensors(tiny.LLAMA)
    tensors["model.layers.0.self_attn.gate.weight"] = np.ones((4, 4), np.float32)
    with pytest.raises(UnsupportedModel, match=r"1 tensors .* such as .*self_attn\.gate\.weight"):
        described(tmp_path, tiny.LLAMA, tensors)


def test_biases_of_zeros_that_a_network_has_not_change_nothing(tmp_path):
    config = tiny.CONFIGS["phi3"]
    tensors, name = tiny.random_tensors(config), "model.layers.0.mlp.down_proj.bias"
    described(tmp_path / "zeros", config, tensors | {name: np.zeros(64, np.float32)})
    with pytest.raises(UnsupportedModel, match=rf"1 tensors .* such as {name}"):
        described(tmp_path / "ones", config, tensors | {name: np.ones(64, np.float32)})


def test_the_new_spelling_of_rotary_settings_means_the_same(tmp_path):
    old = tiny.CONFIGS["llama3-rope"]
    new = {k: v for k, v in old.items() if k not in {"rope_scaling", "rope_theta"}}
    new["rope_parameters"] = old["rope_scaling"] | {"rope_theta": old["rope_theta"]}
    tensors = tiny.random_tensors(old)
    assert (
        described(tmp_path / "old", old, tensors).ropes
        == described(tmp_path / "new", json.loads(json.dumps(new)), tensors).ropes
    )
