import numpy as np
import pytest

from aipc.checkpoint.gguf.file import GgufFile
from aipc.checkpoint.gguf.rope import llama3_factors, rope_settings
from aipc.errors import CheckpointError, UnsupportedModel


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
