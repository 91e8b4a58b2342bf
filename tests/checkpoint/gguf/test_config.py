from __future__ import annotations

import numpy as np
import pytest

from aipc.checkpoint.gguf.config import llama3_factors, make_config, rope_settings
from aipc.checkpoint.gguf.weights import GgufFile, GgufWeights
from aipc.errors import CheckpointError, UnsupportedModel


def config_of(path):
    file = GgufFile(path)
    return make_config(file, GgufWeights(file).tensors)


def test_the_real_models_configuration_is_that_of_its_repository(smollm_gguf):
    assert config_of(smollm_gguf) == {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "max_position_embeddings": 8192,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 100000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }


def test_a_phi3_with_all_it_can_have(make_gguf):
    factors = np.ones(3, np.float32)
    path = make_gguf(
        {
            "blk.0.attn_qkv.weight": np.zeros((64, 32), np.float32),
            "output.weight": np.zeros((6, 32), np.float32),
            "rope_factors_long.weight": factors * 2,
            "rope_factors_short.weight": factors,
        },
        drop=[f"blk.0.{name}.weight" for name in ("attn_q", "attn_k", "attn_v", "ffn_gate")],
        general__architecture="phi3",
        arch__rope__dimension_count=6,
        arch__attention__sliding_window=2047,
        arch__rope__scaling__original_context_length=32,
    )
    config = config_of(path)
    assert config["architectures"] == ["Phi3ForCausalLM"]
    assert config["model_type"] == "phi3"
    assert config["partial_rotary_factor"] == 0.75
    assert config["sliding_window"] == 2047
    assert config["original_max_position_embeddings"] == 32
    assert config["rope_scaling"]["type"] == "longrope"
    assert config["rope_scaling"]["long_factor"] == [2.0, 2.0, 2.0]
    assert config["tie_word_embeddings"] is False


def test_a_head_size_of_its_own(make_gguf):
    config = config_of(make_gguf(arch__attention__key_length=16))
    assert config["head_dim"] == 16


def test_what_is_not_there_is_not_stated(make_gguf):
    config = config_of(make_gguf(tokenizer__ggml__eos_token_id=None))
    for absent in ("eos_token_id", "pad_token_id", "sliding_window", "rope_scaling"):
        assert absent not in config
    assert config["rope_theta"] == 10000.0


def test_biases_are_stated(make_gguf):
    path = make_gguf(
        {
            "blk.0.attn_output.bias": np.zeros(32, np.float32),
            "blk.0.ffn_down.bias": np.zeros(32, np.float32),
        }
    )
    config = config_of(path)
    assert config["attention_bias"] is True
    assert config["mlp_bias"] is True


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"arch__block_count": None}, "lacks 'llama.block_count'"),
        ({"arch__embedding_length": 0}, "'llama.embedding_length' is 0"),
        ({"arch__embedding_length": "32"}, "'llama.embedding_length' is '32'"),
        ({"arch__rope__dimension_count": 12}, "12 dimensions of a head of 8 rotate"),
        ({"arch__rope__dimension_count": 7}, "7 dimensions of a head of 8 rotate"),
        ({"arch__rope__freq_base": float("nan")}, "'llama.rope.freq_base' is nan"),
        ({"tokenizer__ggml__bos_token_id": -1}, "'tokenizer.ggml.bos_token_id' is -1"),
    ],
)
def test_values_that_no_network_has(make_gguf, changes, why):
    with pytest.raises(CheckpointError, match=why):
        config_of(make_gguf(**changes))


def test_a_file_without_embeddings(make_gguf):
    with pytest.raises(CheckpointError, match="no table of token embeddings"):
        config_of(make_gguf(drop=["token_embd.weight"]))


def settings(path, theta=10000.0, rotated=8):
    return rope_settings(GgufFile(path), theta, rotated)


def reference_llama3(theta, size, factor, low=1.0, high=4.0, original=8192):
    """The rule as Meta's and llama.cpp's code state it, one frequency at a time."""
    divisors = []
    for i in range(0, size, 2):
        wavelength = 2 * np.pi * theta ** (i / size)
        if wavelength < original / high:
            divisors.append(1.0)
        elif wavelength > original / low:
            divisors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors)


@pytest.mark.parametrize(("size", "factor"), [(64, 32.0), (128, 8.0)])
def test_llama3_factors_follow_the_rule(size, factor):
    expected = reference_llama3(500000.0, size, factor)
    assert len(set(expected)) > 3
    np.testing.assert_allclose(llama3_factors(500000.0, size, factor), expected)


def test_llama3_scaling_is_found_again_from_its_factors(make_gguf):
    factors = reference_llama3(500000.0, 64, 32.0).astype(np.float32)
    path = make_gguf({"rope_freqs.weight": factors})
    assert settings(path, 500000.0, 64) == {
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    }


def test_factors_of_another_rule_are_unsupported(make_gguf):
    path = make_gguf({"rope_freqs.weight": np.linspace(1, 8, 32, dtype=np.float32)})
    with pytest.raises(UnsupportedModel, match="not those of Llama 3"):
        settings(path, 500000.0, 64)


def test_long_rope_has_both_its_lists(make_gguf):
    long, short = np.array([1.1, 2, 3, 64.5], np.float32), np.ones(4, np.float32)
    path = make_gguf(
        {"rope_factors_long.weight": long, "rope_factors_short.weight": short},
        arch__rope__scaling__original_context_length=4096,
    )
    assert settings(path) == {
        "original_max_position_embeddings": 4096,
        "rope_scaling": {
            "type": "longrope",
            "long_factor": [1.1, 2.0, 3.0, 64.5],
            "short_factor": [1.0, 1.0, 1.0, 1.0],
        },
    }


@pytest.mark.parametrize(
    "short", [None, np.ones(5, np.float32), np.array([1, 1, 0, 1], np.float32)]
)
def test_a_list_that_is_missing_or_no_list_of_factors(make_gguf, short):
    tensors = {"rope_factors_long.weight": np.ones(4, np.float32)}
    if short is not None:
        tensors["rope_factors_short.weight"] = short
    path = make_gguf(tensors, arch__rope__scaling__original_context_length=4096)
    with pytest.raises(
        CheckpointError, match=r"'rope_factors_short.weight' does not hold 4 rotary"
    ):
        settings(path)


@pytest.mark.parametrize("stated", [None, "none"])
def test_positions_that_are_not_scaled(make_gguf, stated):
    assert settings(make_gguf(arch__rope__scaling__type=stated)) == {}


def test_stated_scaling_is_passed_on(make_gguf):
    path = make_gguf(
        arch__rope__scaling__type="yarn",
        arch__rope__scaling__factor=4.0,
        arch__rope__scaling__original_context_length=2048,
    )
    assert settings(path) == {
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 2048,
        }
    }
