"""Multiples of a number between bounds, as JSON writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from aipc.generate.grammar.numerals import integers
from aipc.runtimes.grammars.grammar import EMPTY, NOTHING, Node, Word, chain, choice

MOST = 2000
"""Multiples that are written one by one; of more, those nearest to 0 or to the bound."""


def multiples(
    steps: Sequence[float],
    least: Decimal | int | None,
    most: Decimal | int | None,
    *,
    above: bool = False,
    below: bool = False,
) -> Node:
    """Multiples of all ``steps``; ``above`` and ``below`` leave out the bounds themselves."""
    step = _common([Decimal(str(each)) for each in steps])
    low = None if least is None else math.ceil(Decimal(least) / step)
    high = None if most is None else math.floor(Decimal(most) / step)
    if above and low is not None and low * step == least:
        low += 1
    if below and high is not None and high * step == most:
        high -= 1
    if low is not None and high is not None and high - low < MOST:
        return choice(*(Word(_plain(count * step)) for count in range(low, high + 1)))
    if step.normalize().as_tuple().digits == (1,) and step >= 1:
        return _tens(step, low, high)
    if step < 1 and 1 / step == int(1 / step):
        return _fractions(step, low, high)
    return _nearest(step, low, high)


def _common(steps: Sequence[Decimal]) -> Decimal:
    scale = Decimal(10) ** max(max(0, -int(step.as_tuple().exponent)) for step in steps)
    return Decimal(math.lcm(*(int(step * scale) for step in steps))) / scale


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _tens(step: Decimal, low: int | None, high: int | None) -> Node:
    zeros = "0" * (len(_plain(step)) - 1)
    if not zeros:
        return integers(low, high)
    parts: list[Node] = []
    if (low or 0) <= 0 <= (high or 0):
        parts.append(Word("0"))
    if low is None or low < 0:
        parts.append(chain(integers(low, min(-1, -1 if high is None else high)), Word(zeros)))
    if high is None or high > 0:
        parts.append(chain(integers(max(1, low or 1), high), Word(zeros)))
    return choice(*parts)


def _fractions(step: Decimal, low: int | None, high: int | None) -> Node:
    """Multiples of a part of 1: a whole number and one of the few fractions behind it."""
    each = int(1 / step)
    if each > MOST or (low is not None and low < 0) or (low is None and high is not None):
        return _nearest(step, low, high)
    behind = [Word(_plain(count * step)[1:]) for count in range(1, each)]
    fraction = choice(EMPTY, *behind)
    whole_low = 0 if low is None else -(-low // each)
    parts: list[Node] = []
    if low is not None:
        parts += [Word(_plain(count * step)) for count in range(low, whole_low * each)]
    if high is None:
        parts.append(chain(integers(whole_low, None), fraction))
    else:
        whole_high = high // each
        parts.append(chain(integers(whole_low, whole_high - 1), fraction))
        parts += [Word(_plain(count * step)) for count in range(whole_high * each, high + 1)]
    if low is None:
        parts.append(chain(Word("-0"), choice(*behind)))
        parts.append(chain(integers(None, -1), fraction))
    return choice(*(part for part in parts if part != NOTHING))


def _nearest(step: Decimal, low: int | None, high: int | None) -> Node:
    if low is None:
        low = MOST // -2 if high is None else min(high + 1 - MOST, MOST // -2)
        low = max(low, high - MOST) if high is not None else low
    last = low + MOST if high is None else min(high, low + MOST)
    return choice(*(Word(_plain(count * step)) for count in range(low, last + 1)))
