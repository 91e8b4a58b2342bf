from __future__ import annotations

import numpy as np
import pytest

from aipc.checkpoint.gguf.rope import llama3_factors, rope_settings
from aipc.checkpoint.gguf.weights import GgufFile
from aipc.convert.rope import read_rope
from aipc.errors import CheckpointError, UnsupportedModel


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


def frequencies(path, theta=500000.0, size=64):
    """What `read_rope` makes of a file's settings."""
    return read_rope({"rope_theta": theta, "max_position_embeddings": 64} | settings(path), size)


def settings(path, theta=500000.0, rotated=64):
    return rope_settings(GgufFile(path), theta, rotated)


@pytest.mark.parametrize("scaling", [{}, {"arch__rope__scaling__factor": 4.0}])
def test_factors_of_another_rule_divide_the_frequencies_at_every_position(make_gguf, scaling):
    factors = np.linspace(1, 8, 32, dtype=np.float32)
    path = make_gguf({"rope_freqs.weight": factors}, **scaling)
    rope = frequencies(path)
    expected = 500000.0 ** -(np.arange(0, 64, 2) / 64) / factors
    expected = expected / scaling.get("arch__rope__scaling__factor", 1.0)
    np.testing.assert_allclose(rope.frequencies, expected, rtol=1e-6)
    assert rope.long_frequencies in (None, rope.frequencies)
    assert rope.magnitude == 1.0


def test_factors_that_are_all_1_change_nothing(make_gguf):
    path = make_gguf({"rope_freqs.weight": np.ones(32, np.float32)})
    assert settings(path) == {}


def test_frequencies_that_stand_still_are_proportional_rope(make_gguf):
    factors = np.array([1.0] * 8 + [1e30] * 24, np.float32)
    path = make_gguf({"rope_freqs.weight": factors})
    stated = {"rope_type": "proportional", "partial_rotary_factor": 0.25}
    assert settings(path) == {"rope_scaling": stated}
    assert np.count_nonzero(frequencies(path).frequencies) == 8


def test_factors_beside_yarn_are_unsupported(make_gguf):
    path = make_gguf(
        {"rope_freqs.weight": np.linspace(1, 8, 32, dtype=np.float32)},
        arch__rope__scaling__type="yarn",
        arch__rope__scaling__factor=4.0,
    )
    with pytest.raises(UnsupportedModel, match="has rotary factors beside yarn"):
        settings(path)


def test_long_rope_has_both_its_lists(make_gguf):
    long, short = np.array([1.1, 2, 3, 64.5], np.float32), np.ones(4, np.float32)
    path = make_gguf(
        {"rope_factors_long.weight": long, "rope_factors_short.weight": short},
        arch__rope__scaling__original_context_length=4096,
    )
    assert settings(path, rotated=8) == {
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
        settings(path, rotated=8)


def test_the_magnitude_of_long_rope_is_passed_on(make_gguf):
    factors = np.ones(4, np.float32)
    path = make_gguf(
        {"rope_factors_long.weight": factors, "rope_factors_short.weight": factors},
        arch__rope__scaling__original_context_length=4096,
        arch__rope__scaling__attn_factor=1.25,
    )
    assert settings(path, rotated=8)["rope_scaling"]["attention_factor"] == 1.25


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"type": "none", "factor": 4.0},
        {"type": "linear"},
        {"type": "linear", "factor": 1.0},
        {"factor": 0.0},
    ],
)
def test_positions_that_are_not_scaled(make_gguf, stated):
    changes = {f"arch__rope__scaling__{name}": value for name, value in stated.items()}
    assert settings(make_gguf(**changes)) == {}


@pytest.mark.parametrize(
    "stated",
    [
        {"scaling__type": "linear", "scaling__factor": 8.0},
        {"scaling__factor": 8.0},
        {"scale_linear": 8.0},
    ],
)
def test_a_factor_alone_is_linear(make_gguf, stated):
    changes = {f"arch__rope__{name}": value for name, value in stated.items()}
    found = settings(make_gguf(**changes))
    assert found == {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}


YARN = {"type": "yarn", "factor": 4.0, "original_context_length": 16}


@pytest.mark.parametrize(
    ("more", "stated"),
    [
        ({}, {}),
        ({"yarn_beta_fast": 8.0, "yarn_beta_slow": 2.0}, {"beta_fast": 8.0, "beta_slow": 2.0}),
        ({"yarn_attn_factor": 1.5}, {"attention_factor": 1.5}),
        ({"attn_factor": 2.0}, {"attention_factor": pytest.approx(2 * (1 + 0.1 * np.log(4)))}),
        ({"yarn_log_multiplier": 0.5}, {"mscale": 1.0, "mscale_all_dim": 0.5}),
        ({"yarn_ext_factor": 1.0}, {}),
    ],
)
def test_yarn_is_spelt_as_transformers_does(make_gguf, more, stated):
    changes = {f"arch__rope__scaling__{name}": value for name, value in (YARN | more).items()}
    assert settings(make_gguf(**changes))["rope_scaling"] == {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 16,
        **stated,
    }


def test_yarn_starts_from_the_context_where_no_other_length_is_stated(make_gguf):
    path = make_gguf(arch__rope__scaling__type="yarn", arch__rope__scaling__factor=4.0)
    assert settings(path)["rope_scaling"]["original_max_position_embeddings"] == 64


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"type": "yarn", "factor": 4.0, "yarn_ext_factor": 0.5}, "extrapolates"),
        ({"type": "longrope"}, "by 'longrope' and has no factors"),
        ({"type": "spiral", "factor": 2.0}, "by 'spiral'"),
    ],
)
def test_scaling_that_no_config_can_state(make_gguf, changes, why):
    changes = {f"arch__rope__scaling__{name}": value for name, value in changes.items()}
    with pytest.raises(UnsupportedModel, match=why):
        settings(make_gguf(**changes))
