"""Grammars of answers, whichever engine enforces them: rules over characters.

A rule that is a terminal holds no names but those of terminals and no circle: it is a regular
expression.  A `Choice` without parts matches nothing, a `Chain` without parts the empty text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

ROOT = "root"
LAST = 0x10FFFF
"""The last code point."""
SURROGATES = (0xD800, 0xDFFF)

Ranges = tuple[tuple[int, int], ...]
"""Code points, first and last of each run, in order and apart."""


@dataclass(frozen=True)
class Chars:
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True)
class Word:
    """A text as it is."""

    text: str


@dataclass(frozen=True)
class Chain:
    """One part after the other."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of the parts."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Repeat:
    """A part ``least`` to ``most`` times; ``most`` None: without end."""

    part: Node
    least: int = 0
    most: int | None = None


@dataclass(frozen=True)
class Name:
    """Whatever the rule of this name matches."""

    name: str


ALL: Ranges = (*((8, 10), (12, 13)), (0x20, SURROGATES[0] - 1), (SURROGATES[1] + 1, LAST))
"""What a text may hold: of control characters those that JSON has a short escape for."""

Node = Chars | Word | Chain | Choice | Repeat | Name
EMPTY = Chain()
NOTHING = Choice()


@dataclass(frozen=True)
class ContextFreeGrammar:
    """Rules by name; an answer matches the one called "root"."""

    rules: tuple[tuple[str, Node], ...]
    terminals: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, rules: Mapping[str, Node], terminals: frozenset[str] = frozenset()
    ) -> ContextFreeGrammar:
        """Of ``rules``, those that are needed and can come to an end; ``root`` may be NOTHING."""
        ending = _ending(rules)
        kept = {name: _pruned(node, ending) for name, node in rules.items() if name in ending}
        needed = _reachable(kept)
        return cls(
            tuple((name, kept[name]) for name in rules if name in needed), terminals & needed
        )

    @property
    def is_empty(self) -> bool:
        """Whether no answer matches."""
        return not self.rules


def chain(*parts: Node) -> Node:
    """The parts in a row, without needless nesting."""
    flat: list[Node] = []
    for part in parts:
        inner = part.parts if isinstance(part, Chain) else (part,)
        for each in inner:
            if isinstance(each, Word) and flat and isinstance(flat[-1], Word):
                flat[-1] = Word(flat[-1].text + each.text)
            else:
                flat.append(each)
    if NOTHING in flat:
        return NOTHING
    return flat[0] if len(flat) == 1 else Chain(tuple(flat))


def choice(*parts: Node) -> Node:
    """One of the parts, each named once."""
    flat: dict[Node, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, Choice) else (part,)))
    return next(iter(flat)) if len(flat) == 1 else Choice(tuple(flat))


def optional(part: Node) -> Node:
    return repeat(part, 0, 1)


def repeat(part: Node, least: int = 0, most: int | None = None) -> Node:
    if most == 0 or part == EMPTY:
        return EMPTY
    return part if (least, most) == (1, 1) else Repeat(part, least, most)


def inner_nodes(node: Node) -> tuple[Node, ...]:
    if isinstance(node, (Chain, Choice)):
        return node.parts
    return (node.part,) if isinstance(node, Repeat) else ()


def names_in(node: Node) -> Iterator[str]:
    """The rules that it refers to."""
    pending = [node]
    while pending:
        found = pending.pop()
        if isinstance(found, Name):
            yield found.name
        pending.extend(inner_nodes(found))


def _ending(rules: Mapping[str, Node]) -> set[str]:
    """Names of the rules that some text matches: a circle alone never ends."""
    ending: set[str] = set()
    users: dict[str, set[str]] = {}
    for name, node in rules.items():
        for used in names_in(node):
            users.setdefault(used, set()).add(name)
    pending = list(rules)
    while pending:
        name = pending.pop()
        if name not in ending and _ends(rules[name], ending):
            ending.add(name)
            pending.extend(users.get(name, ()))
    return ending


def _ends(node: Node, ending: set[str]) -> bool:
    if isinstance(node, Name):
        return node.name in ending
    if isinstance(node, Choice):
        return any(_ends(part, ending) for part in node.parts)
    if isinstance(node, Chain):
        return all(_ends(part, ending) for part in node.parts)
    if isinstance(node, Repeat):
        return node.least == 0 or _ends(node.part, ending)
    return node != Chars(())


def _pruned(node: Node, ending: set[str]) -> Node:
    """Without the parts that match nothing."""
    if isinstance(node, Choice):
        return choice(*(_pruned(part, ending) for part in node.parts if _ends(part, ending)))
    if isinstance(node, Chain):
        return chain(*(_pruned(part, ending) for part in node.parts))
    if isinstance(node, Repeat):
        if not _ends(node.part, ending):
            return EMPTY
        return repeat(_pruned(node.part, ending), node.least, node.most)
    return node


def _reachable(rules: Mapping[str, Node]) -> set[str]:
    needed: set[str] = set()
    pending = [ROOT] if ROOT in rules else []
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending.extend(names_in(rules[name]))
    return needed


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """In order, and one where they touch."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def both(one: Ranges, other: Ranges) -> Ranges:
    """What is in both sets."""
    found, places = [], [0, 0]
    while places[0] < len(one) and places[1] < len(other):
        (a, b), (c, d) = one[places[0]], other[places[1]]
        if max(a, c) <= min(b, d):
            found.append((max(a, c), min(b, d)))
        places[b > d] += 1
    return tuple(found)


def others(ranges: Ranges) -> Ranges:
    """Every character that is not in the set."""
    found, start = [], 0
    for first, last in ranges:
        if start < first:
            found.append((start, first - 1))
        start = last + 1
    return (*found, (start, LAST)) if start <= LAST else tuple(found)
