from __future__ import annotations

import numpy as np

from aipc.convert.rope import Rope, rope_tables


def rows(table, start=0, stop=None):
    return table.values(start, table.rows if stop is None else stop)


def test_a_row_a_position():
    cosine, sine = rope_tables([Rope(4, (1.0, 0.1), magnitude=2.0)], 6)
    assert (cosine.rows, cosine.columns) == (6, 2)
    angles = np.arange(6)[:, None] * np.array([1.0, 0.1])
    np.testing.assert_allclose(rows(cosine), 2 * np.cos(angles), rtol=1e-6)
    np.testing.assert_allclose(rows(sine, 2, 5), 2 * np.sin(angles[2:5]), rtol=1e-6)


def test_long_frequencies_begin_again_after_the_short_ones():
    rope = Rope(4, (1.0, 0.1), long_frequencies=(0.5, 0.05), switch=3)
    _, sine = rope_tables([rope], 8)
    assert sine.rows == 11
    short = np.sin(np.arange(3)[:, None] * np.array([1.0, 0.1]))
    long = np.sin(np.arange(8)[:, None] * np.array([0.5, 0.05]))
    np.testing.assert_allclose(rows(sine), np.concatenate([short, long]), rtol=1e-6)
    np.testing.assert_allclose(rows(sine, 2, 5), np.concatenate([short[2:], long[:2]]), rtol=1e-6)
