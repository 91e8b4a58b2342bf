from __future__ import annotations

import numpy as np
import pytest

from aipc.convert.rope import Rope, Thetas, read_rope, rope_tables
from aipc.errors import UnsupportedModel


def rows(table, start=0, stop=None):
    return table.values(start, table.rows if stop is None else stop)


def test_a_row_a_position():
    cosine, sine = rope_tables([Rope(4, (1.0, 0.1), magnitude=2.0)], 6)
    assert (cosine.rows, cosine.columns) == (6, 2)
    angles = np.arange(6)[:, None] * np.array([1.0, 0.1])
    np.testing.assert_allclose(rows(cosine), 2 * np.cos(angles), rtol=1e-6)
    np.testing.assert_allclose(rows(sine, 2, 5), 2 * np.sin(angles[2:5]), rtol=1e-6)


def test_proportional_frequencies_are_divided_by_their_factor():
    """As by transformers' ``_compute_proportional_rope_parameters``."""
    stated = {"rope_type": "proportional", "partial_rotary_factor": 0.5, "rope_theta": 10_000.0}
    plain = read_rope({"rope_parameters": stated}, 8)
    slower = read_rope({"rope_parameters": stated | {"factor": 4.0}}, 8)
    assert plain.frequencies == pytest.approx((1, 0.1, 0, 0))
    assert slower.frequencies == pytest.approx((0.25, 0.025, 0, 0))


def test_long_frequencies_begin_again_after_the_short_ones():
    rope = Rope(4, (1.0, 0.1), long_frequencies=(0.5, 0.05), switch=3)
    _, sine = rope_tables([rope], 8)
    assert sine.rows == 11
    short = np.sin(np.arange(3)[:, None] * np.array([1.0, 0.1]))
    long = np.sin(np.arange(8)[:, None] * np.array([0.5, 0.05]))
    np.testing.assert_allclose(rows(sine), np.concatenate([short, long]), rtol=1e-6)
    np.testing.assert_allclose(rows(sine, 2, 5), np.concatenate([short[2:], long[:2]]), rtol=1e-6)


@pytest.mark.parametrize(("top", "inside"), [(None, 2048), (None, None)])
def test_a_phi3_states_its_original_context_where_transformers_looks(top, inside):
    scaling = {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
    config = {"model_type": "phi3", "max_position_embeddings": 8192}
    stated = {"rope_scaling": scaling | {"original_max_position_embeddings": inside}}
    with pytest.raises(UnsupportedModel, match="does not state original_max_position_embeddings"):
        read_rope(config | stated | {"original_max_position_embeddings": top}, 16)
    stated["rope_scaling"]["original_max_position_embeddings"] = 4096
    assert read_rope(config | stated, 16).switch == 4096


def test_a_scaling_that_transformers_would_pass_over_is_refused():
    config = {"max_position_embeddings": 8192, "rope_scaling": {"type": "linear", "factor": 8.0}}
    with pytest.raises(UnsupportedModel, match='call it "rope_type"'):
        read_rope(config, 16, Thetas(1e6, 1e4))
    assert read_rope(config, 16).frequencies[0] == 1 / 8


@pytest.mark.parametrize(
    "scaling",
    [
        {"low_freq_factor": 4.0, "high_freq_factor": 4.0},
        {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "factor": 0.0},
    ],
)
def test_frequencies_that_are_no_numbers_are_refused(scaling):
    settings = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 32}
    config = {"max_position_embeddings": 128, "rope_scaling": settings | scaling}
    with pytest.raises(UnsupportedModel, match="'llama3' gives frequencies that are no numbers"):
        read_rope(config, 16)
