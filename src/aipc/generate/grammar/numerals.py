"""Numbers between bounds, as JSON writes them, so that an engine need not know bounds.

Integers have no exponent and no fraction, and no number is minus zero.  Where there is no bound,
an integer has at most `DIGITS` digits, a fraction 15 and an exponent two: an answer ends.
"""

from __future__ import annotations

from decimal import Decimal

from aipc.runtimes.grammars.grammar import (
    EMPTY,
    NOTHING,
    Chars,
    Node,
    Word,
    chain,
    choice,
    joined,
    optional,
    repeat,
)

DIGITS = 16
_PRECISION = 15
"""Significant digits that a double keeps apart."""


def _digit(first: int = 0, last: int = 9) -> Node:
    return Chars(((48 + first, 48 + last),)) if first <= last else NOTHING


_ANY = _digit()
INTEGER = choice(Word("0"), chain(optional(Word("-")), _digit(1), repeat(_ANY, 0, DIGITS - 1)))
_NATURAL = choice(Word("0"), chain(_digit(1), repeat(_ANY, 0, DIGITS - 1)))
_FRACTION = optional(chain(Word("."), repeat(_ANY, 1, _PRECISION)))
_EXPONENT = optional(
    chain(Chars(((69, 69), (101, 101))), optional(Chars(((43, 43), (45, 45)))), repeat(_ANY, 1, 2))
)
NUMBER = chain(optional(Word("-")), _NATURAL, _FRACTION, _EXPONENT)


def integers(least: int | None, most: int | None) -> Node:
    """Every integer from ``least`` to ``most``."""
    if least is None and most is None:
        return INTEGER
    least, most = _closed(least, most)
    parts = []
    if least < 0:
        parts.append(chain(Word("-"), _naturals(max(1, -most), -least)))
    if most >= 0:
        parts.append(_naturals(max(0, least), most))
    return choice(*parts)


def _closed(least: int | None, most: int | None) -> tuple[int, int]:
    """Both bounds: a missing one leaves at least `DIGITS` digits."""
    far = 10 ** max(DIGITS, *(len(str(abs(each or 0))) for each in (least, most))) - 1
    return (-far if least is None else least), (far if most is None else most)


def _naturals(least: int, most: int) -> Node:
    if least > most:
        return NOTHING
    parts = []
    for length in range(len(str(least)), len(str(most)) + 1):
        first = max(least, 10 ** (length - 1) if length > 1 else 0)
        parts.append(_between(str(first), str(min(most, 10**length - 1))))
    return choice(*parts)


def _between(low: str, high: str) -> Node:
    """Numerals of one length."""
    if not low:
        return EMPTY
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    if first == last:
        return chain(Word(low[0]), _between(low[1:], high[1:]))
    if low[1:] == "0" * rest:
        first -= 1
    if high[1:] == "9" * rest:
        last += 1
    parts = [chain(_digit(first + 1, last - 1), repeat(_ANY, rest, rest))]
    if first == int(low[0]):
        parts.insert(0, chain(Word(low[0]), _between(low[1:], "9" * rest)))
    if last == int(high[0]):
        parts.append(chain(Word(high[0]), _between("0" * rest, high[1:])))
    return choice(*(part for part in parts if part != NOTHING))


def numbers(
    least: Decimal | None, most: Decimal | None, *, above: bool = False, below: bool = False
) -> Node:
    """Every number from ``least`` to ``most``, without an exponent.

    ``above`` and ``below`` leave out the bounds themselves.
    """
    if least is None and most is None:
        return NUMBER
    parts = []
    if least is None or least < 0:
        floor = None if least is None else -least
        ceiling = Decimal(0) if most is None or most >= 0 else -most
        is_open = below if most is not None and most < 0 else True
        parts.append(chain(Word("-"), _magnitudes(ceiling, floor, above=is_open, below=above)))
    if most is None or most >= 0:
        floor = Decimal(0) if least is None or least < 0 else least
        is_open = above if least is not None and least >= 0 else False
        parts.append(_magnitudes(floor, most, above=is_open, below=below))
    return choice(*parts)


def _magnitudes(least: Decimal, most: Decimal | None, *, above: bool, below: bool) -> Node:
    """Numbers from 0 on."""
    if most is not None and (least > most or (least == most and (above or below))):
        return NOTHING
    (low, after_low), high = _split(least), None if most is None else _split(most)
    places = max(1, _PRECISION - len(str(low if high is None else high[0])))
    whole_fraction = optional(chain(Word("."), repeat(_ANY, 1, places)))
    if high is not None and high[0] == low:
        return chain(Word(str(low)), _fraction(after_low, high[1], places, above, below))
    parts = [chain(Word(str(low)), _fraction(after_low, None, places, above, False))]
    last = None if high is None else high[0] - 1
    if last is None or low + 1 <= last:
        parts.append(chain(_naturals(low + 1, _closed(low + 1, last)[1]), whole_fraction))
    if high is not None:
        parts.append(chain(Word(str(high[0])), _fraction("", high[1], places, False, below)))
    return choice(*parts)


def _split(value: Decimal) -> tuple[int, str]:
    """The whole part and the digits behind the point, without zeros at their end."""
    whole, _, after = f"{value:f}".partition(".")
    return int(whole), after.rstrip("0")


def _fraction(low: str, high: str | None, places: int, above: bool, below: bool) -> Node:
    """A point and digits from ``low`` to ``high``, or nothing where that is as good as zeros."""
    none = (low == "" and not above) and not (high == "" and below)
    digits = _digits_between(low, high, places, above, below)
    return choice(*([EMPTY] if none else []), chain(Word("."), digits))


def _digits_between(low: str | None, high: str | None, left: int, above: bool, below: bool) -> Node:
    """At least one digit, at most ``left``; a bound that is None was passed already."""
    low = None if low == "" and not above else low
    left = max(left, len(low or ""), len(high or ""))
    if low is None and high is None:
        return repeat(_ANY, 1, left)
    first = 0 if low is None else int(low[0]) if low else 0
    last = 9 if high is None else int(high[0]) if high else 0
    parts = []
    for digit in range(first, last + 1):
        lower = None if low is None or (low and digit > first) else low[1:]
        if low == "" and digit > 0:
            lower = None
        upper = None if high is None or (high and digit < last) else high[1:]
        rest = _rest(lower, upper, left - 1, above, below)
        parts.append((digit, rest))
    return choice(*_grouped(parts))


def _rest(low: str | None, high: str | None, left: int, above: bool, below: bool) -> Node:
    """Digits that may follow, and whether none need to."""
    low = None if low == "" and not above else low
    if low is None and high is None:
        return repeat(_ANY, 0, left)
    may_end = low is None and not (high == "" and below)
    if left <= 0:
        return EMPTY if may_end else NOTHING
    return choice(*([EMPTY] if may_end else []), _digits_between(low, high, left, above, below))


def _grouped(parts: list[tuple[int, Node]]) -> list[Node]:
    """Digits after which the same follows, as one."""
    grouped: dict[Node, list[int]] = {}
    for digit, rest in parts:
        if rest != NOTHING:
            grouped.setdefault(rest, []).append(digit)
    return [
        chain(Chars(joined((48 + digit, 48 + digit) for digit in digits)), rest)
        for rest, digits in grouped.items()
    ]
