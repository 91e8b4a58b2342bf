"""Regular languages that hold together or are left out, as deterministic automata.

By derivatives: J. Brzozowski, "Derivatives of Regular Expressions", 1964.  Languages without
`Both` and `Complement` are regular expressions already and need no automaton.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from aipc.runtimes.grammars.grammar import (
    ALL,
    EMPTY,
    NOTHING,
    Chain,
    Chars,
    Choice,
    Name,
    Node,
    Ranges,
    Repeat,
    Word,
    chain,
    choice,
    joined,
)

MAX_STATES = 600
_MAX_SIZE = 12_000
"""Of all states' expressions together."""


@dataclass(frozen=True)
class Both:
    """Texts of every part."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Complement:
    """Every other text."""

    part: Any


ANYTHING = Repeat(Chars(ALL))


class TooManyStates(ValueError):
    """The automaton would be beyond `MAX_STATES`."""


@dataclass(frozen=True)
class Automaton:
    """State 0 is the first; of each state the characters that lead to others."""

    steps: tuple[tuple[tuple[Ranges, int], ...], ...]
    ends: frozenset[int]

    @classmethod
    @lru_cache(maxsize=128)
    def of(cls, language: Any) -> Automaton:
        """Raises TooManyStates."""
        sets = _partition(language)
        numbers: dict[Any, int] = {language: 0}
        steps: list[list[tuple[Ranges, int]]] = []
        pending, size = [language], 0
        for state in pending:
            size += _size(state)
            if len(pending) > MAX_STATES or size > _MAX_SIZE:
                raise TooManyStates(f"more than {MAX_STATES} states")
            found: dict[int, list[tuple[int, int]]] = {}
            for each in sets:
                after = _derived(state, each[0][0], {})
                if after == NOTHING:
                    continue
                if after not in numbers:
                    numbers[after] = len(pending)
                    pending.append(after)
                found.setdefault(numbers[after], []).extend(each)
            steps.append([(joined(ranges), number) for number, ranges in found.items()])
        ends = frozenset(number for state, number in numbers.items() if has_empty(state))
        return _merged(_leading(steps, ends), ends)

    def rules(self, prefix: str) -> dict[str, Node]:
        """A rule for each state, the first called ``prefix``."""
        reached = {0, *(after for steps in self.steps for _, after in steps)}
        names = [prefix, *(f"{prefix}-{number}" for number in range(1, len(self.steps)))]
        return {
            names[number]: choice(
                *([EMPTY] if number in self.ends else []),
                *(chain(Chars(ranges), Name(names[after])) for ranges, after in steps),
            )
            for number, steps in enumerate(self.steps)
            if number in reached
        }


def is_plain(language: Any) -> bool:
    """Whether it is a regular expression as it stands."""
    if isinstance(language, (Both, Complement)):
        return False
    if isinstance(language, (Chain, Choice)):
        return all(is_plain(part) for part in language.parts)
    return not isinstance(language, Repeat) or is_plain(language.part)


def has_empty(language: Any) -> bool:
    """Whether the empty text is one of it."""
    if isinstance(language, (Chain, Both)):
        return all(has_empty(part) for part in language.parts)
    if isinstance(language, Choice):
        return any(has_empty(part) for part in language.parts)
    if isinstance(language, Repeat):
        return language.least == 0 or has_empty(language.part)
    if isinstance(language, Complement):
        return not has_empty(language.part)
    return isinstance(language, Word) and not language.text


def holds(language: Any, text: str) -> bool:
    """Whether ``text`` is one of it."""
    for character in text:
        language = _derived(language, ord(character), {})
        if language == NOTHING:
            return False
    return has_empty(language)


def _derived(language: Any, code: int, known: dict[int, Any]) -> Any:
    """What may follow the character ``code``."""
    if id(language) not in known:
        known[id(language)] = _follow(language, code, known)
    return known[id(language)]


def _follow(language: Any, code: int, known: dict[int, Any]) -> Any:  # noqa: PLR0911 - one a kind
    if isinstance(language, Chars):
        return EMPTY if any(a <= code <= b for a, b in language.ranges) else NOTHING
    if isinstance(language, Word):
        return Word(language.text[1:]) if language.text[:1] == chr(code) else NOTHING
    if isinstance(language, Chain):
        return _follow_chain(language, code, known)
    if isinstance(language, Repeat):
        least = max(0, language.least - 1)
        most = None if language.most is None else language.most - 1
        rest = EMPTY if most == 0 else Repeat(language.part, least, most)
        return _chained(_derived(language.part, code, known), rest)
    if isinstance(language, Choice):
        return _either(*(_derived(part, code, known) for part in language.parts))
    if isinstance(language, Both):
        return _all_of(*(_derived(part, code, known) for part in language.parts))
    return _without(_derived(language.part, code, known))


def _follow_chain(language: Chain, code: int, known: dict[int, Any]) -> Any:
    found = []
    for number, part in enumerate(language.parts):
        rest = language.parts[number + 1 :]
        found.append(_chained(_derived(part, code, known), *rest))
        if not has_empty(part):
            break
    return _either(*found)


def _chained(*parts: Any) -> Any:
    parts = tuple(part for part in parts if part not in (EMPTY, Word("")))
    return chain(*parts)


def _either(*parts: Any) -> Any:
    flat: dict[Any, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, Choice) else (part,)))
    if Complement(NOTHING) in flat:
        return Complement(NOTHING)
    return next(iter(flat)) if len(flat) == 1 else Choice(tuple(sorted(flat, key=repr)))


def _all_of(*parts: Any) -> Any:
    flat: dict[Any, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, Both) else (part,)))
    flat.pop(Complement(NOTHING), None)
    if NOTHING in flat:
        return NOTHING
    if EMPTY in flat:
        return EMPTY if all(has_empty(part) for part in flat) else NOTHING
    if not flat:
        return Complement(NOTHING)
    return next(iter(flat)) if len(flat) == 1 else Both(tuple(sorted(flat, key=repr)))


def _without(language: Any) -> Any:
    if language == ANYTHING:
        return NOTHING
    return language.part if isinstance(language, Complement) else Complement(language)


def sets_in(language: Any) -> Iterator[Ranges]:
    """The classes of characters in it."""
    if isinstance(language, Chars):
        yield language.ranges
    elif isinstance(language, Word):
        yield from (((ord(each), ord(each)),) for each in language.text)
    elif isinstance(language, (Repeat, Complement)):
        yield from sets_in(language.part)
    else:
        for part in language.parts:
            yield from sets_in(part)


def _partition(language: Any) -> list[Ranges]:
    """Sets of characters that the language does not tell apart."""
    sets = set(sets_in(language)) | {ALL}
    borders = {0}
    for ranges in sets:
        for first, last in ranges:
            borders |= {first, last + 1}
    alike: dict[frozenset[Ranges], list[tuple[int, int]]] = {}
    ordered = sorted(borders)
    for first, after in pairwise(ordered):
        members = frozenset(each for each in sets if any(a <= first <= b for a, b in each))
        if ALL in members:
            alike.setdefault(members, []).append((first, after - 1))
    return [joined(ranges) for ranges in alike.values()]


def _size(language: Any) -> int:
    if isinstance(language, (Repeat, Complement)):
        return 1 + _size(language.part)
    if isinstance(language, (Chars, Word)):
        return 1
    return 1 + sum(_size(part) for part in language.parts)


def _leading(
    steps: list[list[tuple[Ranges, int]]], ends: frozenset[int]
) -> list[list[tuple[Ranges, int]]]:
    """Without the steps to states from which no end is reached."""
    before: dict[int, set[int]] = {}
    for number, each in enumerate(steps):
        for _, after in each:
            before.setdefault(after, set()).add(number)
    alive, pending = set(ends), list(ends)
    while pending:
        found = before.get(pending.pop(), set()) - alive
        alive |= found
        pending += found
    return [[step for step in each if step[1] in alive] for each in steps]


def _merged(steps: list[list[tuple[Ranges, int]]], ends: frozenset[int]) -> Automaton:
    """With one state where several lead to the same."""
    group = [int(number in ends) for number in range(len(steps))]
    while True:
        keys = [(group[number], frozenset(_led(each, group))) for number, each in enumerate(steps)]
        order = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        renewed = [order[key] for key in keys]
        if len(set(renewed)) == len(set(group)):
            break
        group = renewed
    merged: dict[int, tuple[tuple[Ranges, int], ...]] = {}
    for number, each in enumerate(steps):
        merged.setdefault(renewed[number], tuple(_led(each, renewed)))
    return Automaton(
        tuple(merged[number] for number in sorted(merged)),
        frozenset(renewed[number] for number in ends),
    )


def _led(steps: list[tuple[Ranges, int]], group: list[int]) -> list[tuple[Ranges, int]]:
    led: dict[int, list[tuple[int, int]]] = {}
    for ranges, after in steps:
        led.setdefault(group[after], []).extend(ranges)
    return [(joined(ranges), after) for after, ranges in sorted(led.items())]
