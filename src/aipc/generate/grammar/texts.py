"""Texts within lengths, patterns and formats, as they stand in a JSON answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from aipc.generate.grammar.characters import PLAIN, written
from aipc.generate.grammar.pattern import UnsupportedPattern, language
from aipc.runtimes.grammars.automaton import (
    ANYTHING,
    Automaton,
    Both,
    Complement,
    TooManyStates,
    has_empty,
    holds,
    is_plain,
    sets_in,
)
from aipc.runtimes.grammars.grammar import (
    ALL,
    EMPTY,
    NOTHING,
    Chain,
    Chars,
    Choice,
    Node,
    Ranges,
    Repeat,
    Word,
    both,
    chain,
    choice,
    others,
    repeat,
)
from aipc.tables import read_table

MAX_SIZE = 4096
"""Characters of a pattern whose repetitions are written out."""
_WIDE, _WIDE_SIZE = 12, 60_000
"""Of a class that stands for any character: most runs, and least characters."""
_COUNTED_FIRST = 40
"""Longest text whose length an automaton counts where repetitions could be shortened instead."""
_COUNTED = 300
"""Longest text whose length an automaton counts."""
_HEX = Chars(((48, 57), (65, 70), (97, 102)))
_SHORT = Chars(((34, 34), (47, 47), (92, 92), (98, 98), (102, 102), (110, 110), (114, 114),
                (116, 116)))  # fmt: skip
_CODE = choice(
    chain(Chars(((48, 57), (65, 67), (69, 70), (97, 99), (101, 102))), repeat(_HEX, 3, 3)),
    chain(Chars(((68, 68), (100, 100))), Chars(((48, 55),)), repeat(_HEX, 2, 2)),
)
_COUNTED_CHARACTER = choice(Chars(PLAIN), chain(Word("\\"), _SHORT))
CHARACTER = choice(Chars(PLAIN), chain(Word("\\"), choice(_SHORT, chain(Word("u"), _CODE))))
"""One of any text; no half of a surrogate pair."""


@lru_cache(maxsize=1)
def _formats() -> dict[str, str]:
    table = read_table(__package__ or "", "formats.toml")
    known: dict[str, str] = dict(table["formats"])
    return known | {name: known[other] for name, other in table["alike"].items()}


def quoted(body: Node) -> Node:
    return chain(Word('"'), body, Word('"'))


def format_language(name: object) -> Any:
    """The texts of a format, None where it is a note."""
    pattern = _formats().get(name) if isinstance(name, str) else None
    return None if pattern is None else language(pattern)


def plain_text(least: int, most: int | None) -> Node:
    """Any text of these lengths, between its quotes."""
    character = CHARACTER if (least, most) == (0, None) else _COUNTED_CHARACTER
    return repeat(character, least, most) if most is None or least <= most else NOTHING


def other_than(names: Collection[str]) -> Node:
    """Any text without escapes that is none of ``names``."""
    firsts = sorted({name[0] for name in names if name})
    taken = tuple((ord(first), ord(first)) for first in firsts)
    parts: list[Node] = [] if "" in names else [EMPTY]
    rest = both(PLAIN, others(taken))
    parts.append(chain(Chars(rest), repeat(Chars(PLAIN))))
    for first in firsts:
        if both(PLAIN, ((ord(first), ord(first)),)):
            after = [name[1:] for name in names if name[:1] == first]
            parts.append(chain(Word(first), other_than(after)))
    return choice(*parts)


def matching(
    languages: Sequence[Any], least: int, most: int | None, excluded: Collection[str] = ()
) -> Any:
    """Texts of all ``languages`` and lengths but ``excluded``, as JSON writes them, or `NOTHING`.

    Raises:
        UnsupportedPattern: that would be too much.
    """
    left_out = [name for name in excluded if all(holds(each, name) for each in languages)]
    plain, least, most = _without_lengths(languages, least, most)
    if len(plain) == 1 and not left_out and is_plain(plain[0]) and not _loops(plain[0]):
        fitting = _fitted(plain[0], least, most)
        is_exact = fitting == plain[0] or most is None or _endless(plain[0]) < 2
        if fitting is not None and (is_exact or most is None or most > _COUNTED_FIRST):
            return encoded(fitting)
    together = [*languages]
    if least or most is not None:
        if max(least, most or 0) > _COUNTED:
            raise UnsupportedPattern("a length beside it that is too large to be counted")
        together.append(Repeat(Chars(ALL), least, most))
    if left_out:
        together.append(Complement(choice(*map(Word, left_out))))
    whole = together[0] if len(together) == 1 else Both(tuple(together))
    written_whole = encoded(whole)
    try:
        is_possible = bool(Automaton.of(written_whole).ends)
    except (TooManyStates, RecursionError) as error:
        raise UnsupportedPattern("more states than are allowed") from error
    return written_whole if is_possible else NOTHING


def _without_lengths(
    languages: Sequence[Any], least: int, most: int | None
) -> tuple[list[Any], int, int | None]:
    """Those that are not just any characters of a number, and the lengths with that."""
    parts = [each for one in languages for each in (one.parts if isinstance(one, Both) else (one,))]
    lengths = {number: _counted(part) for number, part in enumerate(parts)}
    others = [part for number, part in enumerate(parts) if lengths[number] is None]
    for found in lengths.values():
        if found is None or not others:
            continue
        allowed, few, many = found
        if any(both(each, allowed) != each for part in others for each in sets_in(part)):
            return list(languages), least, most
        least = max(least, few)
        most = many if most is None else most if many is None else min(most, many)
    return (others, least, most) if others else (list(languages), least, most)


def _counted(part: Any) -> tuple[Ranges, int, int | None] | None:
    """The characters and lengths, where it is a class repeated and little else that may be left."""
    first, *rest = part.parts if isinstance(part, Chain) and part.parts else (part,)
    if not isinstance(first, Repeat) or not isinstance(first.part, Chars):
        return None
    if len(first.part.ranges) > _WIDE or not all(map(has_empty, rest)):
        return None
    is_wide = sum(last - start for start, last in first.part.ranges) > _WIDE_SIZE
    return (first.part.ranges, first.least, first.most) if is_wide else None


def encoded(node: Any) -> Any:  # noqa: PLR0911 - one a kind
    """A language of texts as JSON writes them, each in one way."""
    if isinstance(node, Both):
        return Both(tuple(map(encoded, node.parts)))
    if isinstance(node, Complement):
        return Both((encoded(ANYTHING), Complement(encoded(node.part))))
    if isinstance(node, Chars):
        return written(node.ranges)
    if isinstance(node, Word):
        return chain(*(written(((ord(each), ord(each)),)) for each in node.text))
    if isinstance(node, Chain):
        return chain(*map(encoded, node.parts))
    if isinstance(node, Choice):
        return choice(*map(encoded, node.parts))
    return repeat(encoded(node.part), node.least, node.most)


def _loops(node: Any) -> bool:
    """Whether it repeats what may be empty, or repeats without end what does so itself."""
    if isinstance(node, (Chain, Choice)):
        return any(_loops(part) for part in node.parts)
    if not isinstance(node, Repeat):
        return False
    return has_empty(node.part) or _loops(node.part)


def _endless(node: Any) -> int:
    """How many of its repetitions have no end."""
    if isinstance(node, Repeat):
        return int(node.most is None) + _endless(node.part)
    return sum(map(_endless, node.parts)) if isinstance(node, (Chain, Choice)) else 0


def _fitted(node: Any, least: int, most: int | None) -> Any:
    """A part of the language whose lengths are right, all of it where that is simple; or None."""
    if isinstance(node, Choice):
        fitted = [_fitted(part, least, most) for part in node.parts]
        known = [part for part in fitted if part is not None]
        return choice(*known) if known and choice(*known) != NOTHING else None
    shortest, longest = _extent(node)
    if most is not None and shortest > most:
        return NOTHING
    if longest is not None and longest < least:
        return NOTHING
    if _written_size(node) > MAX_SIZE:
        return None
    if shortest < least:
        node = _lengthened(node, least - shortest)
    if node is not None and most is not None and (longest is None or longest > most):
        node = _shortened(node, most)
    return node


def _extent(node: Any) -> tuple[int, int | None]:
    if isinstance(node, Chars):
        return 1, 1
    if isinstance(node, Word):
        return len(node.text), len(node.text)
    if isinstance(node, Repeat):
        short, long = _extent(node.part)
        endless = node.most is None or long is None
        return short * node.least, None if endless else long * node.most  # type: ignore[operator]
    extents = [_extent(part) for part in node.parts]
    longest = [long for _, long in extents if long is not None]
    endless = len(longest) < len(extents)
    if isinstance(node, Chain):
        return sum(short for short, _ in extents), None if endless else sum(longest)
    return min((short for short, _ in extents), default=0), (
        None if endless else max(longest, default=0)
    )


def _written_size(node: Any) -> int:
    if isinstance(node, Repeat):
        return max(1, node.least, node.most or 0) * _written_size(node.part)
    if isinstance(node, (Chain, Choice)):
        return 1 + sum(_written_size(part) for part in node.parts)
    return 1


def _lengthened(node: Any, missing: int) -> Any:
    """With more of the one repetition that can have so many; None where none can."""
    parts = list(node.parts) if isinstance(node, Chain) else [node]
    for number, part in enumerate(parts):
        if isinstance(part, Repeat) and _extent(part.part)[0] > 0:
            least = part.least - (-missing // _extent(part.part)[0])
            if part.most is None or least <= part.most:
                parts[number] = Repeat(part.part, least, part.most)
                return chain(*parts)
    return None


def _shortened(node: Any, most: int) -> Any:
    """With as many of each repetition as ``most`` characters have room for; None: for none."""
    low, high, found = 0, most, None
    while low <= high:
        middle = (low + high) // 2
        capped = _capped(node, middle)
        if (_extent(capped)[1] or 0) <= most:
            found, low = capped, middle + 1
        else:
            high = middle - 1
    return found


def _capped(node: Any, count: int) -> Any:
    if isinstance(node, Repeat):
        most = max(node.least, count if node.most is None else min(node.most, count))
        return repeat(_capped(node.part, count), node.least, most)
    if isinstance(node, Chain):
        return chain(*(_capped(part, count) for part in node.parts))
    if isinstance(node, Choice):
        return choice(*(_capped(part, count) for part in node.parts))
    return node
