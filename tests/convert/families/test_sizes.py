import json
import time

import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.errors import CheckpointError

NAN, INFINITY = float("nan"), float("inf")


def refusal(folder, change):
    """Why a config is refused; the weights are those of the config without the change."""
    tiny.write_checkpoint(folder, tiny.LLAMA, tiny.random_tensors(tiny.LLAMA))
    (folder / "config.json").write_text(json.dumps(tiny.LLAMA | change))
    with pytest.raises(CheckpointError) as refused, open_checkpoint(folder) as checkpoint:
        read_network(checkpoint)
    assert "\n" not in str(refused.value)
    return refused.value


def test_a_context_stretched_beyond_all_networks(tmp_path):
    yarn = {"rope_type": "yarn", "factor": 4096, "original_max_position_embeddings": 2**24}
    assert "stretched by YaRN = 68,719,476,736" in refusal(tmp_path, {"rope_scaling": yarn}).what


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 10**6),
        ("num_hidden_layers", -2),
        ("vocab_size", 10**9),
        ("vocab_size", 0),
        ("num_attention_heads", 10**6),
        ("num_key_value_heads", 0),
        ("head_dim", 0),
        ("head_dim", 10**9),
        ("hidden_size", 10**9),
        ("hidden_size", "64"),
        ("hidden_size", 64.0),
        ("hidden_size", True),
        ("intermediate_size", None),
        ("max_position_embeddings", 10**12),
        ("sliding_window", -1),
        ("sliding_window", 10**40),
        ("sliding_window_pattern", 0),
        ("global_head_dim", 10**9),
        ("num_kv_shared_layers", -1),
        ("hidden_size_per_layer_input", 10**9),
        ("query_pre_attn_scalar", 0),
        ("attn_logit_softcapping", NAN),
        ("attn_logit_softcapping", "50"),
        ("final_logit_softcapping", -30.0),
        ("logits_scaling", 0),
        ("residual_multiplier", NAN),
        ("rms_norm_eps", NAN),
        ("rms_norm_eps", INFINITY),
        ("rms_norm_eps", -1.0),
        ("rms_norm_eps", "1e-5"),
        ("rope_theta", 0),
        ("rope_theta", NAN),
        ("partial_rotary_factor", 2.0),
        ("partial_rotary_factor", 0.0),
        ("mlp_bias", "yes"),
        ("rope_scaling", "linear"),
        ("rope_parameters", [1]),
        ("rms_norm_eps", 10**400),
        ("rms_norm_eps", 1e30),
        ("rope_theta", 1e308),
        ("rope_theta", 10**400),
        ("num_hidden_layers", []),
        ("num_hidden_layers", {}),
        ("head_dim", [16]),
    ],
)
def test_what_no_network_has_is_refused_by_its_name(tmp_path, key, value):
    refused = refusal(tmp_path, {key: value})
    assert f"its config has {key} = " in refused.what
    assert refused.fix.startswith("correct it in config.json")


@pytest.mark.parametrize(
    "settings",
    [
        {"rope_type": "linear", "factor": 0},
        {"rope_type": "linear", "factor": "2"},
        {"rope_type": "linear", "factor": NAN},
        {"rope_type": "yarn", "factor": 1e9, "original_max_position_embeddings": 32},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 10**12},
        {"rope_type": "longrope", "long_factor": [1.0, -1.0], "short_factor": [1.0, 1.0]},
        {"full_attention": {"rope_type": "default", "rope_theta": 0}},
    ],
)
def test_rotary_numbers_are_looked_through(tmp_path, settings):
    key = "rope_parameters" if "full_attention" in settings else "rope_scaling"
    assert f"its config has {key}." in refusal(tmp_path, {key: settings}).what


@pytest.mark.parametrize("value", [10**9, -1, NAN, "x", True, 10**400])
def test_what_layers_have_of_their_own_is_looked_through(tmp_path, value):
    change = {"per_layer_config": {"1": {"head_dim": value}}}
    assert "per_layer_config.1.head_dim = " in refusal(tmp_path, change).what


def test_the_first_layer_that_is_missing_is_named_before_any_is_built(tmp_path):
    begun = time.process_time()
    refused = refusal(tmp_path, {"num_hidden_layers": 2000})
    assert time.process_time() - begun < 1
    assert "2,000 layers, its weights have 2: model.layers.2 is missing" in refused.what


def test_names_of_another_form_are_shown(tmp_path):
    tensors = {
        name.replace("model.layers", "transformer.h"): value
        for name, value in tiny.random_tensors(tiny.LLAMA).items()
    }
    tiny.write_checkpoint(tmp_path, tiny.LLAMA, tensors)
    with (
        open_checkpoint(tmp_path) as checkpoint,
        pytest.raises(CheckpointError, match=r"no model.layers.0, but 'transformer.h.1.*; take"),
    ):
        read_network(checkpoint)


def test_a_longer_table_of_embeddings_says_what_to_write(tmp_path):
    assert '"vocab_size": 260 in config.json' in refusal(tmp_path, {"vocab_size": 250}).fix


def test_a_deeply_nested_config_is_one_line(tmp_path):
    tiny.write_checkpoint(tmp_path, tiny.LLAMA, tiny.random_tensors(tiny.LLAMA))
    (tmp_path / "config.json").write_text('{"a":' * 50_000 + "1" + "}" * 50_000)
    with pytest.raises(
        CheckpointError, match=r"config.json' is damaged: not JSON .nested too deep"
    ):
        open_checkpoint(tmp_path)
