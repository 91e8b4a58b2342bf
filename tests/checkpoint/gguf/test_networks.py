"""config.json of each network, against the config that transformers makes of it."""

from __future__ import annotations

import numpy as np
import pytest
import transformers

from aipc.checkpoint.gguf.config import make_config
from aipc.checkpoint.gguf.weights import GgufFile, GgufWeights
from aipc.errors import CheckpointError, UnsupportedModel

LAYERS = 12
SIZES = {
    "vocab_size": 6,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": True,
}
NAMELESS = ("architectures", "transformers_version")


@pytest.fixture
def config_of(make_gguf):
    """The config made of a file of that architecture, with these keys."""

    def make(architecture, tensors=(), **keys):
        tensors = {f"blk.{i}.attn_norm.weight": np.ones(32, np.float32) for i in range(LAYERS)} | {
            name: np.zeros(shape, np.float32) for name, shape in dict(tensors).items()
        }
        if architecture == "olmo2":
            tensors = {name.replace("attn_norm", "post_ffw_norm"): v for name, v in tensors.items()}
        drop = (
            ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"] if architecture == "olmo2" else ()
        )
        changes = {f"arch__{name}": value for name, value in keys.items()}
        path = make_gguf(
            tensors,
            drop,
            general__architecture=architecture,
            arch__block_count=LAYERS,
            tokenizer__ggml__padding_token_id=0,
            **changes,
        )
        file = GgufFile(path)
        return make_config(file, GgufWeights(file).tensors)

    return make


def same(ours, theirs):
    """Whether transformers takes our fields for the config that it makes itself."""
    rebuilt, expected = type(theirs)(**ours).to_dict(), theirs.to_dict()
    for name in NAMELESS:
        del rebuilt[name], expected[name]
    biases = [rebuilt.pop(name) for name in ("attention_bias", "mlp_bias") if name not in expected]
    assert rebuilt == expected
    assert not any(biases)
    assert ours["model_type"] == theirs.model_type
    name = type(theirs).__name__.removesuffix("Config").removesuffix("Text")
    assert ours["architectures"] == [f"{name}ForCausalLM"]


HEADS = {"attention__key_length": 8, "attention__value_length": 8}


def test_gemma(config_of):
    ours = config_of("gemma", **HEADS)
    same(ours, transformers.GemmaConfig(**SIZES, head_dim=8))


def test_gemma2(config_of):
    ours = config_of(
        "gemma2",
        **HEADS,
        attn_logit_softcapping=40.0,
        final_logit_softcapping=20.0,
        attention__sliding_window=16,
    )
    theirs = transformers.Gemma2Config(
        **SIZES,
        head_dim=8,
        query_pre_attn_scalar=8,
        attn_logit_softcapping=40.0,
        final_logit_softcapping=20.0,
        sliding_window=16,
    )
    same(ours, theirs)


def test_gemma2_as_llama_cpp_takes_it_where_nothing_is_stated(config_of):
    theirs = transformers.Gemma2Config(**SIZES, head_dim=8, query_pre_attn_scalar=8)
    same(config_of("gemma2", **HEADS), theirs)


def test_gemma3(config_of):
    ours = config_of("gemma3", **HEADS, rope__freq_base=1e6, attention__sliding_window=16)
    theirs = transformers.Gemma3TextConfig(
        **SIZES, head_dim=8, query_pre_attn_scalar=8, sliding_window=16
    )
    same(ours, theirs)
    assert ours["layer_types"].count("full_attention") == LAYERS // 6


def test_gemma3_with_positions_scaled_where_no_window_is(config_of):
    ours = config_of(
        "gemma3",
        **HEADS,
        rope__freq_base=1e6,
        rope__scaling__type="linear",
        rope__scaling__factor=8.0,
        rope__freq_base_swa=20_000.0,
        attention__sliding_window=16,
        final_logit_softcapping=30.0,
    )
    assert ours["rope_parameters"] == {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 20_000.0},
    }
    assert ours["final_logit_softcapping"] == 30.0


def test_a_gemma3_without_windows(config_of):
    ours = config_of("gemma3", **HEADS)
    assert ours["layer_types"] == ["full_attention"] * LAYERS
    assert ours["sliding_window"] is None


@pytest.mark.parametrize(("architecture", "layers"), [("gemma2", 46), ("gemma3", 62)])
def test_the_largest_gemmas_scale_queries_by_the_width(make_gguf, architecture, layers):
    tensors = {f"blk.{i}.attn_norm.weight": np.ones(32, np.float32) for i in range(layers)}
    path = make_gguf(
        tensors,
        general__architecture=architecture,
        arch__block_count=layers,
        arch__attention__key_length=16,
    )
    file = GgufFile(path)
    assert make_config(file, GgufWeights(file).tensors)["query_pre_attn_scalar"] == 8


@pytest.mark.parametrize(
    ("pattern", "full"),
    [(3, [2, 5, 8, 11]), (1, list(range(LAYERS))), (0, []), ([True] * 11 + [False], [11])],
)
def test_a_stated_pattern_of_windows_counts(config_of, pattern, full):
    keys = {"attention__sliding_window": 16, "attention__sliding_window_pattern": pattern}
    types = config_of("gemma3", **HEADS, **keys)["layer_types"]
    assert [i for i, kind in enumerate(types) if kind == "full_attention"] == full


def test_a_pattern_for_other_layers_is_damage(config_of):
    keys = {"attention__sliding_window": 16, "attention__sliding_window_pattern": [True, False]}
    with pytest.raises(CheckpointError, match="2 windows for 12 layers"):
        config_of("gemma3", **HEADS, **keys)


GEMMA4 = {
    "attention__key_length": 16,
    "attention__key_length_swa": 8,
    "attention__sliding_window": 16,
    "attention__head_count_kv": [2, 2, 2, 2, 2, 1] * 2,
    "feed_forward_length": [64] * 8 + [128] * 4,
    "attention__shared_kv_layers": 4,
    "embedding_length_per_layer_input": 0,
    "rope__freq_base": 1e6,
}
VALUES = {f"blk.{i}.attn_v.weight": (16, 32) for i in range(LAYERS) if i != 5}


def test_gemma4(config_of):
    ours = config_of("gemma4", VALUES, **GEMMA4)
    ours["rope_parameters"]["full_attention"] = {
        "rope_type": "proportional",
        "rope_theta": 1e6,
        "partial_rotary_factor": 0.25,
    }
    theirs = transformers.Gemma4TextConfig(
        **SIZES,
        head_dim=8,
        global_head_dim=16,
        num_global_key_value_heads=1,
        attention_k_eq_v=True,
        sliding_window=16,
        num_kv_shared_layers=4,
        use_double_wide_mlp=True,
        hidden_size_per_layer_input=0,
    )
    same(ours, theirs)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"attention__head_count_kv": [2, 1]}, r"'gemma4.attention.head_count_kv' is .*2, 1"),
        ({"attention__sliding_window_pattern": 1}, "lacks layers of a kind"),
        ({"attention__shared_kv_layers": 12}, "lacks layers of a kind"),
    ],
)
def test_a_gemma4_that_is_none(config_of, changes, why):
    with pytest.raises(CheckpointError, match=why):
        config_of("gemma4", VALUES, **GEMMA4 | changes)


def test_granite(config_of):
    ours = config_of(
        "granite",
        embedding_scale=12.0,
        attention__scale=0.015625,
        residual_scale=0.22,
        logit_scale=8.0,
    )
    theirs = transformers.GraniteConfig(
        **SIZES,
        embedding_multiplier=12.0,
        attention_multiplier=0.015625,
        residual_multiplier=0.22,
        logits_scaling=8.0,
    )
    ours.pop("head_dim")  # Granite's has none, and ours is the quotient
    same(ours, theirs)


def test_a_granite_that_knows_no_positions_is_unsupported(config_of):
    with pytest.raises(UnsupportedModel, match="do not know positions"):
        config_of("granite", logit_scale=8.0, rope__scaling__finetuned=False)


def test_smollm3(config_of):
    ours = config_of("smollm3", rope__dimension_count=8, rope__freq_base=2e6)
    ours.pop("head_dim")
    same(ours, transformers.SmolLM3Config(**SIZES))
    assert ours["no_rope_layers"] == [1, 1, 1, 0] * 3


def test_olmo2_and_olmo3(config_of):
    ours = config_of("olmo2")
    ours.pop("head_dim")
    same(ours, transformers.Olmo2Config(**SIZES))
    ours = config_of("olmo2", rope__freq_base=500_000.0, attention__sliding_window=16)
    ours.pop("head_dim")
    same(ours, transformers.Olmo3Config(**SIZES, sliding_window=16))


def test_mistral_with_and_without_temperature(config_of):
    ours = config_of("mistral3", **HEADS)
    same(ours, transformers.MistralConfig(**SIZES, head_dim=8, sliding_window=None))
    ours = config_of(
        "mistral3",
        **HEADS,
        rope__freq_base=1e6,
        rope__scaling__type="yarn",
        rope__scaling__factor=4.0,
        rope__scaling__original_context_length=16,
        rope__scaling__yarn_beta_fast=32.0,
        rope__scaling__yarn_beta_slow=1.0,
        rope__scaling__yarn_log_multiplier=1.0,
        attention__temperature_scale=0.1,
    )
    rope = {
        "rope_type": "yarn",
        "rope_theta": 1e6,
        "factor": 4.0,
        "original_max_position_embeddings": 16,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "llama_4_scaling_beta": 0.1,
    }
    same(ours, transformers.Ministral3Config(**SIZES, head_dim=8, rope_parameters=rope))


def test_biases_of_llama_and_qwen2(config_of):
    biases = {"blk.0.attn_q.bias": (32,)}
    assert config_of("llama", biases)["attention_bias"] is True
    assert config_of("qwen2", biases)["attention_bias"] is False
    assert config_of("qwen2", {"blk.0.attn_output.bias": (32,)})["attention_bias"] is True


def test_more_layers_than_tensors_are_refused_at_once(make_gguf):
    file = GgufFile(make_gguf(general__architecture="gemma3", arch__block_count=2**30))
    with pytest.raises(CheckpointError, match="more blocks than its 11 tensors"):
        make_config(file, GgufWeights(file).tensors)
