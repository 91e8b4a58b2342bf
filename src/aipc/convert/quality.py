"""What a conversion loses: the figures of each recipe, and what follows from one or the other.

The figures (quality.toml) are of one small model; docs/quality.md has how they were measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aipc import records
from aipc.convert.recipe import GROUP_SIZES, WHOLE_ROW, Recipe
from aipc.convert.targets import SMALL_PARAMETERS, Target
from aipc.tables import read_table

HARDLY_SHOWS = 0.05
"""Nats.  Below, answers are as the float model's; int8 loses a tenth of it."""
LOOPS = 0.2
"""Nats from which a small model's greedy answers go round in circles: with 0.3 five of twenty do,
with 0.004 two (docs/quality.md, Answers)."""
COARSER_TIMES = 1.5
"""So many times another recipe's figure are well above it: int4 in whole rows loses 1.8 times what
groups of 128 do, and these 1.5 times what groups of 32 do."""
BROKEN = 3.0
"""Nats.  The worst recipe that can be asked for (int4, whole rows, rounded, head and embedding too)
loses 1.5 on the small model; codes, scales or signs in wrong places lose 6 to 40."""
BROKEN_TIMES = 5
"""Or so many times the recipe's figure.  Sound ones reach 1.4 times on other texts and weights;
int8 with all its codes off by one, or with one matrix's scales doubled, 10 times and more."""
_COARSENESS = (*GROUP_SIZES, WHOLE_ROW)


@dataclass(frozen=True)
class ConversionQuality:
    """How far an artifact's next-token distributions lie from the float network's.

    ``kl`` is the mean Kullback-Leibler divergence in nats, ``same_top`` the share of the ``tokens``
    judged positions with the same likeliest token.  Where it is not ``measured`` it is expected:
    what the recipe lost on another model.  ``scored`` has what the runtime states of a measurement.
    """

    kl: float
    same_top: float
    tokens: int
    measured: bool
    scored: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadingQuality:
    """How far what an artifact makes of ``texts`` texts lies from what the float model makes.

    ``cosine`` is the least of two vectors of a text, None of a model that gives scores;
    ``difference`` is the greatest of two scores from 0 to 1, None of one that makes vectors.
    """

    cosine: float | None
    difference: float | None
    texts: int

    def is_broken(self, recipe: Recipe) -> bool:
        """Whether it is less than any sound artifact of the recipe keeps."""
        cosine, difference = _LIMITS[recipe.weight_format]
        if self.cosine is not None:
            return not self.cosine >= cosine
        return self.difference is not None and not self.difference <= difference

    def __str__(self) -> str:
        if self.cosine is not None:
            return f"the least cosine with the float model's vectors is {self.cosine:.4f}"
        return f"scores differ from the float model's by {self.difference:.3f} at most"


_LIMITS = {"fp16": (0.99, 0.02), "int8": (0.9, 0.3), "int4": (0.3, 1.0)}
"""Of a `ReadingQuality`.  All-MiniLM-L6-v2 has 0.99999, 0.997 and 0.90; of codes or scales in wrong
places nothing is left."""


@dataclass(frozen=True)
class RecipeFigure:
    """One line of quality.toml; ``bits`` are those of a weight in the blocks, with scales."""

    recipe: Recipe
    kl: float
    same_top: float
    bits: float

    def is_as_large(self, recipe: Recipe) -> bool:
        """Whether codes are stored alike, or those of ``recipe`` have more 8-bit ones."""
        return _storage(self.recipe) == _storage(recipe) and self.recipe.ratio >= recipe.ratio

    def holds_for(self, recipe: Recipe) -> bool:
        return self.recipe.quantizer == recipe.quantizer and self.is_as_large(recipe)


def _storage(recipe: Recipe) -> tuple[Any, ...]:
    spread = recipe.group_size, recipe.embedding, recipe.all_layers
    return recipe.weight_format, recipe.sym, *spread


_TABLE = read_table(__package__, "quality.toml")
FIGURES = tuple(
    RecipeFigure(**(entry | {"recipe": Recipe(**entry["recipe"])})) for entry in _TABLE["figure"]
)
FIGURES_PARAMETERS: int = _TABLE["parameters"]
"""Weights of the model that they were measured on."""


def find_figure(recipe: Recipe) -> RecipeFigure | None:
    """The recipe's own or, of a mixed one, that of the nearest ratio with fewer 8-bit weights."""
    holding = (figure for figure in FIGURES if figure.holds_for(recipe))
    return min(holding, key=lambda figure: figure.recipe.ratio, default=None)


def expected_quality(recipe: Recipe) -> ConversionQuality | None:
    """What the recipe lost on the model of `FIGURES_PARAMETERS`; None where nobody measured it."""
    figure = find_figure(recipe)
    if figure is None:
        return None
    return ConversionQuality(figure.kl, figure.same_top, _TABLE["tokens"], measured=False)


def is_coarser(recipe: Recipe, default: Recipe) -> bool:
    """Whether it loses well more than the ``default``, or nobody knows what it loses."""
    figure, usual = find_figure(recipe), find_figure(default)
    if figure is None or usual is None:
        return True
    return figure.kl > max(HARDLY_SHOWS, COARSER_TIMES * usual.kl)


def rounded_as(recipe: Recipe, encodings: Iterable[Mapping[str, Any]]) -> Recipe | None:
    """The recipe that loses at least as much as an artifact of these ``encodings``; None: nothing.

    Against the checkpoint, codes that are carried over lose nothing; what else there is counts as
    if all were as it is.
    """
    found = [encoding for encoding in encodings if encoding["bits"] < 16]
    rounded = [encoding for encoding in found if not encoding.get("carried")]
    if len(rounded) == len(found):
        return recipe
    if any(encoding["bits"] == 4 for encoding in rounded):
        return recipe
    return Recipe("int8", sym=recipe.sym) if rounded else None


def stated_quality(facts: Mapping[str, Any]) -> ConversionQuality | None:
    """Of an artifact, by its manifest's facts; None where they have none that can be read."""
    with suppress(records.Misfit):
        return records.read(ConversionQuality, facts.get("quality"))
    return None


def stated_reading(facts: Mapping[str, Any]) -> ReadingQuality | None:
    """As `stated_quality`, of a model that reads whole texts."""
    with suppress(records.Misfit):
        return records.read(ReadingQuality, facts.get("quality"))
    return None


def greatest_loss(recipe: Recipe) -> float:
    """Nats above which an artifact of the recipe is broken, whatever the model.

    Of a recipe without a figure, by the least of those that lose no less.
    """
    own = find_figure(recipe)
    like = [own] if own else [one for one in FIGURES if _loses_no_less(one.recipe, recipe)]
    least = min((one.kl for one in like), default=BROKEN)
    return max(HARDLY_SHOWS, min(BROKEN_TIMES * least, BROKEN))


def _loses_no_less(measured: Recipe, recipe: Recipe) -> bool:
    """Embedding and head are left out: in 4 bits as well they lose 1.4 times as much at most."""
    return (
        measured.weight_format == recipe.weight_format
        and measured.quantizer in {recipe.quantizer, "rtn"}
        and _COARSENESS.index(measured.group_size) >= _COARSENESS.index(recipe.group_size)
        and measured.sym >= recipe.sym
        and measured.ratio >= recipe.ratio
    )


def better_recipes(recipe: Recipe, target: Target, facts: Mapping[str, Any]) -> str:
    """What would lose much less than the artifact of these facts, as flags that the target takes.

    Empty where that does not matter, or nobody knows: a network of `SMALL_PARAMETERS` or more loses
    less than the figures say.
    """
    quality = stated_quality(facts)
    if quality is None or quality.kl < LOOPS:
        return ""
    if not quality.measured and facts.get("parameters", math.inf) >= SMALL_PARAMETERS:
        return ""
    own = find_figure(recipe)
    loss = quality.kl if own is None else own.kl
    fitting = [one for one in FIGURES if one.kl < loss / 2 and not target.misfit(one.recipe)]
    as_large = [one for one in fitting if one.is_as_large(recipe)]
    sure = [one for one in fitting if one.kl <= HARDLY_SHOWS]
    found = []
    if as_large:
        best = min(as_large, key=lambda one: one.kl)
        found.append(f"--quantizer {best.recipe.quantizer} loses {best.kl / loss:.2g} of that")
    if sure:
        least = min(sure, key=lambda one: one.bits)
        size = "" if own is None else f" at {least.bits / own.bits:.1f} times the size"
        found.append(f"--weight-format {least.recipe.weight_format} {least.kl / loss:.2g}{size}")
    return ", ".join(found)
