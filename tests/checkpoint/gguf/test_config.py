from __future__ import annotations

import numpy as np
import pytest

from aipc.checkpoint.gguf.config import make_config
from aipc.checkpoint.gguf.weights import GgufFile, GgufWeights
from aipc.errors import CheckpointError


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
