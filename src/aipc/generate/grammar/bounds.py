"""Numbers, by all that the schemas of a case say of them together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from aipc.generate.grammar.cases import Case
from aipc.generate.grammar.numerals import integers, numbers
from aipc.generate.grammar.steps import multiples
from aipc.runtimes.grammars.grammar import Node


def integer_node(case: Case) -> Node:
    """A whole number that fits every schema of ``case``."""
    bounds = _Bounds.of(case)
    low, high = bounds.whole()
    steps = _steps(case)
    return multiples(steps, low, high) if steps else integers(low, high)


def number_node(case: Case) -> Node:
    """A number that fits every schema of ``case``."""
    bounds, steps = _Bounds.of(case), _steps(case)
    if any(float(step).is_integer() for step in steps):
        return integer_node(case)
    found = (bounds.least, bounds.most)
    if steps:
        return multiples(steps, *found, above=bounds.above, below=bounds.below)
    return numbers(*found, above=bounds.above, below=bounds.below)


def _steps(case: Case) -> list[float]:
    return [node["multipleOf"] for node in case if "multipleOf" in node]


@dataclass(frozen=True)
class _Bounds:
    """The narrowest, and whether they are themselves left out."""

    least: Decimal | None
    above: bool
    most: Decimal | None
    below: bool

    @classmethod
    def of(cls, case: Case) -> _Bounds:
        least, above = _narrowest(case, "minimum", "exclusiveMinimum", 1)
        most, below = _narrowest(case, "maximum", "exclusiveMaximum", -1)
        return cls(least, above, most, below)

    def whole(self) -> tuple[int | None, int | None]:
        """The least and the greatest whole number between them."""
        low = None if self.least is None else math.ceil(self.least)
        high = None if self.most is None else math.floor(self.most)
        if low is not None and self.above and low == self.least:
            low += 1
        if high is not None and self.below and high == self.most:
            high -= 1
        return low, high


def _narrowest(case: Case, closed: str, opened: str, sign: int) -> tuple[Decimal | None, bool]:
    found = [
        (sign * Decimal(str(node[keyword])), keyword == opened)
        for node in case
        for keyword in (closed, opened)
        if keyword in node
    ]
    if not found:
        return None, False
    limit, is_open = max(found)
    return sign * limit, is_open
