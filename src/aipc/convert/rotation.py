"""The rotary embedding as tables: a row of cosines and one of sines for every position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aipc.convert.quantizers.rtn import Floats
from aipc.convert.rope import Frequencies, Rope


@dataclass(frozen=True)
class Table:
    """float32 [rows, columns], computed a few rows at a time by ``values(start, stop)``."""

    name: str
    rows: int
    columns: int
    values: Callable[[int, int], Floats]


def rotation_tables(rope: Rope, context: int) -> tuple[Table, ...]:
    """Cosine and sine [context, dimensions / 2].

    Where the network switches to long frequencies, the rows of the ``switch`` positions that
    the short ones serve come first and those of all positions with the long ones after them.
    """
    if rope.long_frequencies is None or rope.switch is None:
        pieces = [(rope.frequencies, context)]
    else:
        pieces = [(rope.frequencies, rope.switch), (rope.long_frequencies, context)]
    return _table("cosine", np.cos, rope, pieces), _table("sine", np.sin, rope, pieces)


def _table(
    name: str, function: np.ufunc, rope: Rope, pieces: list[tuple[Frequencies, int]]
) -> Table:
    first, last = np.array(pieces[0][0]), np.array(pieces[-1][0])
    switch = pieces[0][1] if len(pieces) > 1 else 0

    def values(start: int, stop: int) -> Floats:
        rows = np.arange(start, stop)
        is_short = (rows < switch)[:, None]
        frequencies = np.where(is_short, first[None, :], last[None, :])
        angles = np.where(is_short, rows[:, None], rows[:, None] - switch) * frequencies
        turned: Floats = (function(angles) * rope.magnitude).astype(np.float32)
        return turned

    return Table(name, sum(rows for _, rows in pieces), rope.dimensions // 2, values)
