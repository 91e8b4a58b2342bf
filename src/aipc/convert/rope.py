"""Rotary position embedding: the frequencies that a config gives, and tables of them.

Formulas: Su et al. 2021 (arXiv 2104.09864); Llama 3.1's frequency scaling as published with its
weights; LongRoPE, Ding et al. 2024 (arXiv 2402.13753), as Phi-3 applies it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.errors import UnsupportedModel

Frequencies = tuple[float, ...]
_Config = Mapping[str, Any]
_Floats = npt.NDArray[np.float64]
_Table = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rope:
    """Rotary embedding of the first ``dimensions`` of each head, halves rotated together.

    ``frequencies`` are the ``dimensions / 2`` inverse frequencies in radians a position.
    A sequence of more than ``switch`` tokens uses ``long_frequencies`` for all its positions.
    Cosine and sine are multiplied by ``magnitude``.
    """

    dimensions: int
    frequencies: Frequencies
    long_frequencies: Frequencies | None = None
    switch: int | None = None
    magnitude: float = 1.0


def read_rope(config: _Config, head_dim: int) -> Rope:
    """The rotary embedding of a Hugging Face config, in the old or the new (v5) spelling.

    Raises:
        UnsupportedModel: for a scaling that is unknown.
    """
    parameters = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    theta = float(parameters.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    partial = parameters.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1
    dimensions = int(head_dim * float(partial))
    base = 1.0 / theta ** (np.arange(0, dimensions, 2, dtype=np.float64) / dimensions)
    kind = str(parameters.get("rope_type") or parameters.get("type") or "default")
    scaling = _SCALINGS.get(kind)
    if scaling is None:
        raise UnsupportedModel(
            f"the config has the rotary scaling '{kind}'", f"known: {', '.join(_SCALINGS)}"
        )
    try:
        return scaling(base, parameters, config)
    except (KeyError, TypeError, ValueError) as error:
        raise UnsupportedModel(f"the config's rotary scaling '{kind}' is incomplete") from error


def _plain(base: _Floats, *_: _Config) -> Rope:
    return Rope(2 * base.size, tuple(base))


def _llama3(base: _Floats, parameters: _Config, _: _Config) -> Rope:
    factor = float(parameters["factor"])
    low, high = float(parameters["low_freq_factor"]), float(parameters["high_freq_factor"])
    turns = float(parameters["original_max_position_embeddings"]) * base / (2 * math.pi)
    share = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return _plain(base * (share + (1 - share) / factor))


def _longrope(base: _Floats, parameters: _Config, config: _Config) -> Rope:
    original = config.get("original_max_position_embeddings") or parameters.get(
        "original_max_position_embeddings"
    )
    switch = int(original or config["max_position_embeddings"])
    return Rope(
        dimensions=2 * base.size,
        frequencies=_stretched(base, parameters["short_factor"]),
        long_frequencies=_stretched(base, parameters["long_factor"]),
        switch=switch,
        magnitude=_longrope_magnitude(parameters, config, switch),
    )


def _stretched(base: _Floats, factors: Any) -> Frequencies:
    divisors = np.asarray(factors, dtype=np.float64)
    if divisors.shape != base.shape:
        raise ValueError(f"{divisors.size} factors for {base.size} frequencies")
    return tuple(base / divisors)


def _longrope_magnitude(parameters: _Config, config: _Config, switch: int) -> float:
    if parameters.get("attention_factor") is not None:
        return float(parameters["attention_factor"])
    stretch = float(parameters.get("factor") or config["max_position_embeddings"] / switch)
    return math.sqrt(1 + math.log(stretch) / math.log(switch)) if stretch > 1 else 1.0


_SCALINGS: dict[str, Callable[[_Floats, _Config, _Config], Rope]] = {
    "default": _plain,
    "linear": lambda base, parameters, _: _plain(base / float(parameters["factor"])),
    "llama3": _llama3,
    "longrope": _longrope,
    "su": _longrope,
}


@dataclass(frozen=True)
class RopeTable:
    """float32 [rows, columns], a row per position; ``values(start, stop)`` computes some."""

    name: str
    rows: int
    columns: int
    values: Callable[[int, int], _Table]


def rope_tables(rope: Rope, context: int) -> tuple[RopeTable, ...]:
    """Cosine and sine [context, dimensions / 2].

    Where the network switches to long frequencies, the rows of the first ``switch`` positions
    with the short ones come first, then those of all positions with the long ones.
    """
    if rope.long_frequencies is None or rope.switch is None:
        pieces = [(rope.frequencies, context)]
    else:
        pieces = [(rope.frequencies, rope.switch), (rope.long_frequencies, context)]
    return _table("cosine", np.cos, rope, pieces), _table("sine", np.sin, rope, pieces)


def _table(
    name: str, function: np.ufunc, rope: Rope, pieces: list[tuple[Frequencies, int]]
) -> RopeTable:
    first, last = np.array(pieces[0][0]), np.array(pieces[-1][0])
    switch = pieces[0][1] if len(pieces) > 1 else 0

    def values(start: int, stop: int) -> _Table:
        rows = np.arange(start, stop)
        is_short = (rows < switch)[:, None]
        frequencies = np.where(is_short, first[None, :], last[None, :])
        angles = np.where(is_short, rows[:, None], rows[:, None] - switch) * frequencies
        table: _Table = (function(angles) * rope.magnitude).astype(np.float32)
        return table

    return RopeTable(name, sum(rows for _, rows in pieces), rope.dimensions // 2, values)
