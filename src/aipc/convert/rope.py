"""Rotary position embedding: the frequencies that a config gives, and tables of them.

Formulas: Su et al. 2021 (arXiv 2104.09864); Llama 3.1's frequency scaling as published with its
weights; LongRoPE, Ding et al. 2024 (arXiv 2402.13753), as Phi-3 applies it; YaRN, Peng et al. 2023
(arXiv 2309.00071, sections 3.2 and 3.4), with the options that transformers gave it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.config import rope_settings
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
    Cosine and sine are multiplied by ``magnitude``, with the long ones by ``long_magnitude`` unless
    that is None (PhiMoE), queries at position ``p`` moreover by
    ``1 + growth * log(1 + p // growth_step)`` (Ministral 3).
    """

    dimensions: int
    frequencies: Frequencies
    long_frequencies: Frequencies | None = None
    switch: int | None = None
    magnitude: float = 1.0
    growth: float = 0.0
    growth_step: int = 1
    long_magnitude: float | None = None

    def within(self, tokens: int) -> tuple[Frequencies, float]:
        """The frequencies and the magnitude of a sequence of so many."""
        if self.long_frequencies is None or self.switch is None or tokens <= self.switch:
            return self.frequencies, self.magnitude
        long = self.long_magnitude
        return self.long_frequencies, self.magnitude if long is None else long


@dataclass(frozen=True)
class Thetas:
    """The bases of the frequencies where a config states none.

    ``local`` is that of layers with a window where the network has two (Gemma 3).
    """

    all: float = 10_000.0
    local: float | None = None


LLAMA_THETAS = Thetas()
PHI3_ORIGINAL = 4096
"""The default of transformers' Phi3Config, which counts before what the scaling says."""


def read_rope(
    config: _Config,
    head_dim: int,
    thetas: Thetas = LLAMA_THETAS,
    layer_type: str = "full_attention",
) -> Rope:
    """The rotary embedding of a Hugging Face config, in the old or the new (v5) spelling.

    Raises:
        UnsupportedModel: for a scaling that is unknown.
    """
    parameters = _parameters(config, thetas, layer_type)
    theta = float(parameters.get("rope_theta") or config.get("rope_theta") or thetas.all)
    partial = parameters.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1
    kind = str(parameters.get("rope_type") or parameters.get("type") or "default")
    rotated = int(head_dim * float(partial))
    dimensions = head_dim if kind == "proportional" else rotated
    if not 2 <= rotated <= head_dim or rotated % 2:
        raise UnsupportedModel(f"the config rotates {rotated} dimensions of heads of {head_dim}")
    base = 1.0 / theta ** (np.arange(0, dimensions, 2, dtype=np.float64) / dimensions)
    base[rotated // 2 :] = 0  # "proportional": the slow part of a head does not turn
    scaling = _SCALINGS.get(kind)
    if scaling is None:
        raise UnsupportedModel(
            f"the config has the rotary scaling '{kind}'", f"known: {', '.join(_SCALINGS)}"
        )
    try:
        with np.errstate(all="raise", under="ignore"):
            return _growing(scaling(base, parameters, config), parameters)
    except ArithmeticError as error:
        raise UnsupportedModel(
            f"the config's rotary scaling '{kind}' gives frequencies that are no numbers",
            "correct it in config.json: the model's page has the right one",
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise UnsupportedModel(f"the config's rotary scaling '{kind}' is incomplete") from error


def _parameters(config: _Config, thetas: Thetas, layer_type: str) -> dict[str, Any]:
    """The config's own for layers of this type, where it tells them apart."""
    stated = rope_settings(config)
    is_local = layer_type == "sliding_attention" and thetas.local is not None
    if any(isinstance(value, Mapping) for value in stated.values()):
        own = dict(stated.get(layer_type) or {})
        return {"rope_theta": thetas.local, **own} if is_local else own
    if is_local:
        return {"rope_theta": config.get("rope_local_base_freq") or thetas.local}
    if thetas.local is not None and "type" in stated and "rope_type" not in stated:
        raise UnsupportedModel(
            f"the config states its rotary scaling '{stated['type']}' as \"type\", which "
            "transformers passes over in a network of two rotary bases",
            'call it "rope_type" in config.json, or leave the scaling out',
        )
    return stated


def _growing(rope: Rope, parameters: _Config) -> Rope:
    growth = parameters.get("llama_4_scaling_beta")
    if not growth:
        return rope
    step = int(parameters["original_max_position_embeddings"])
    return replace(rope, growth=float(growth), growth_step=step)


def _plain(base: _Floats, *_: _Config) -> Rope:
    """Also "dynamic", which changes nothing within the context of the config."""
    return Rope(2 * base.size, tuple(base))


def _proportional(base: _Floats, parameters: _Config, _: _Config) -> Rope:
    return _plain(base / float(parameters.get("factor") or 1))


def _llama3(base: _Floats, parameters: _Config, _: _Config) -> Rope:
    factor = float(parameters["factor"])
    low, high = float(parameters["low_freq_factor"]), float(parameters["high_freq_factor"])
    turns = float(parameters["original_max_position_embeddings"]) * base / (2 * math.pi)
    share = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return _plain(base * (share + (1 - share) / factor))


def _yarn(base: _Floats, parameters: _Config, config: _Config) -> Rope:
    """Fast frequencies stay, slow ones are divided by the factor, those between are mixed."""
    context = float(config["max_position_embeddings"])
    original = _original(parameters, config) or context
    factor = float(parameters.get("factor") or context / original)
    theta = base[0] / base[1] if base.size > 1 else math.inf
    fast = float(parameters.get("beta_fast") or 32)
    slow = float(parameters.get("beta_slow") or 1)
    # the frequency that turns so many times within the original context, as an index
    ends = [math.log(original / (turns * 2 * math.pi)) / math.log(theta) for turns in (fast, slow)]
    if parameters.get("truncate", True):
        ends = [math.floor(ends[0]), math.ceil(ends[1])]
    low, high = max(ends[0], 0), min(ends[1], 2 * base.size - 1)
    width = high - low if high != low else 0.001
    share = np.clip((np.arange(base.size) - low) / width, 0, 1)
    mixed = base * (1 - share) + base / factor * share
    return Rope(2 * base.size, tuple(mixed), magnitude=_yarn_magnitude(parameters, factor))


def _yarn_magnitude(parameters: _Config, factor: float) -> float:
    stated = parameters.get("attention_factor")
    if stated is not None:
        return float(stated)

    def magnitude(scale: float) -> float:
        return 0.1 * scale * math.log(factor) + 1 if factor > 1 else 1.0

    scale, of_all = parameters.get("mscale"), parameters.get("mscale_all_dim")
    return magnitude(float(scale)) / magnitude(float(of_all)) if scale and of_all else magnitude(1)


def _original(parameters: _Config, config: _Config) -> float | None:
    """Tokens of the context before it was stretched."""
    name = "original_max_position_embeddings"
    stated = config.get(name) or parameters.get(name)
    return float(stated) if stated else None


def _longrope(base: _Floats, parameters: _Config, config: _Config) -> Rope:
    name = "original_max_position_embeddings"
    if (
        config.get("model_type") == "phi3"
        and not config.get(name)
        and parameters.get(name) != PHI3_ORIGINAL
    ):
        raise UnsupportedModel(
            f"the config does not state {name} where transformers looks for it in a phi3, and "
            f"takes {PHI3_ORIGINAL:,}",
            "state it in config.json beside max_position_embeddings",
        )
    switch = int(_original(parameters, config) or config["max_position_embeddings"])
    magnitude = _longrope_magnitude(parameters, config, switch)
    short, long = (parameters.get(f"{kind}_mscale") for kind in ("short", "long"))
    return Rope(
        dimensions=2 * base.size,
        frequencies=_stretched(base, parameters["short_factor"]),
        long_frequencies=_stretched(base, parameters["long_factor"]),
        switch=switch,
        magnitude=magnitude if short is None else float(short),
        long_magnitude=None if long is None else float(long),
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
    "dynamic": _plain,
    "proportional": _proportional,
    "yarn": _yarn,
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


def rope_tables(ropes: Sequence[Rope], context: int) -> list[RopeTable]:
    """Cosine and sine [context, dimensions / 2] of each, named by `table_names`.

    Where the network switches to long frequencies, the rows of the first ``switch`` positions
    with the short ones come first, then those of all positions with the long ones.
    """
    return [table for index, rope in enumerate(ropes) for table in _tables(index, rope, context)]


def table_names(index: int) -> tuple[str, str]:
    """Of the cosines and sines of a network's rope of this number."""
    end = f".{index}" if index else ""
    return f"cosine{end}", f"sine{end}"


def _tables(index: int, rope: Rope, context: int) -> Iterator[RopeTable]:
    if rope.long_frequencies is None or rope.switch is None:
        pieces = [(*rope.within(0), context)]
    else:
        pieces = [(*rope.within(0), rope.switch), (*rope.within(rope.switch + 1), context)]
    for name, function in zip(table_names(index), (np.cos, np.sin), strict=True):
        yield _table(name, function, rope, pieces)


def _table(
    name: str, function: np.ufunc, rope: Rope, pieces: list[tuple[Frequencies, float, int]]
) -> RopeTable:
    """``pieces`` are frequencies, magnitude and rows of those one after the other."""
    first, last = np.array(pieces[0][0]), np.array(pieces[-1][0])
    magnitudes = pieces[0][1], pieces[-1][1]
    switch = pieces[0][2] if len(pieces) > 1 else 0

    def values(start: int, stop: int) -> _Table:
        rows = np.arange(start, stop)
        is_short = (rows < switch)[:, None]
        frequencies = np.where(is_short, first[None, :], last[None, :])
        angles = np.where(is_short, rows[:, None], rows[:, None] - switch) * frequencies
        table: _Table = (function(angles) * np.where(is_short, *magnitudes)).astype(np.float32)
        return table

    return RopeTable(name, sum(rows for *_, rows in pieces), rope.dimensions // 2, values)
