"""What stands between the brackets of an object or a list, counted and in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aipc.runtimes.grammars.grammar import (
    EMPTY,
    NOTHING,
    Name,
    Node,
    Word,
    chain,
    choice,
    optional,
    repeat,
)

BREAK = "ws"
"""The terminal of what may stand between tokens."""
SPACE = optional(Name(BREAK))
COMMA = chain(Word(","), SPACE)
MAX_COUNTED = 4000
"""Rules that counting the properties of one object may take."""


@dataclass(frozen=True)
class Member:
    """A property of a known name, with its value."""

    node: Node
    is_required: bool


def enclosed(opening: str, body: Node, closing: str) -> Node:
    return chain(Word(opening), SPACE, body, SPACE if body != EMPTY else EMPTY, Word(closing))


def listed(first: Sequence[Node], rest: Node, least: int, most: int | None) -> Node:
    """``first``, each in its place, then any number of ``rest``; from ``least`` to ``most``."""
    if most is not None and most < least:
        return NOTHING
    return enclosed("[", _items(first, rest, 0, least, most), "]")


def _items(first: Sequence[Node], rest: Node, at: int, least: int, most: int | None) -> Node:
    if most is not None and at >= most:
        return EMPTY
    comma = COMMA if at else EMPTY
    if at < len(first):
        found = chain(comma, first[at], _items(first, rest, at + 1, least, most))
        return found if at < least else optional(found)
    left = None if most is None else most - at
    if at:
        return repeat(chain(COMMA, rest), max(0, least - at), left)
    more = repeat(chain(COMMA, rest), max(0, least - 1), None if left is None else left - 1)
    found = chain(rest, more)
    return found if least else optional(found)


def properties(
    members: Sequence[Member],
    extra: Node,
    least: int,
    most: int | None,
    define: Callable[[Node], Node],
) -> Node | None:
    """An object of ``members`` in their order, each once, then any number of ``extra``.

    None where counting them would take too many rules.
    """
    required = sum(member.is_required for member in members)
    possible = len(members) if extra == NOTHING else None
    least = 0 if least <= required else least
    if most is not None and possible is not None and most >= possible:
        most = None
    if most is not None and most < max(least, required):
        return NOTHING
    if least or most is not None:
        counts = max(least, most or 0) + 1
        if members and counts * len(members) > MAX_COUNTED:
            return None
        return enclosed("{", _Counted(members, extra, least, most, define).after(0, 0), "}")
    return enclosed("{", _uncounted(members, extra, define), "}")


def _uncounted(members: Sequence[Member], extra: Node, define: Callable[[Node], Node]) -> Node:
    more = repeat(chain(COMMA, extra)) if extra != NOTHING else EMPTY
    tails: list[Node] = [more]
    for member in reversed(members):
        tail = chain(COMMA, member.node)
        tails.append(chain(tail if member.is_required else optional(tail), tails[-1]))
    tails.reverse()
    firsts = [number for number, member in enumerate(members) if member.is_required]
    if firsts:
        before = [optional(chain(member.node, COMMA)) for member in members[: firsts[0]]]
        return chain(*before, members[firsts[0]].node, tails[firsts[0] + 1])
    shared: Node = define(more) if more != EMPTY else EMPTY
    starts: list[Node] = [] if extra == NOTHING else [chain(extra, shared)]
    for member in reversed(members):
        starts.append(chain(member.node, shared))
        shared = define(chain(optional(chain(COMMA, member.node)), shared))
    return optional(choice(*reversed(starts))) if starts else EMPTY


class _Counted:
    """Rules that know how many properties were written."""

    def __init__(
        self,
        members: Sequence[Member],
        extra: Node,
        least: int,
        most: int | None,
        define: Callable[[Node], Node],
    ) -> None:
        self._members, self._extra, self._define = members, extra, define
        self._least, self._most = least, most
        self._known: dict[tuple[int, int], Node] = {}

    def after(self, at: int, count: int) -> Node:
        """What may follow when the members before ``at`` are done, ``count`` of them written."""
        if self._most is None:
            count = min(count, max(1, self._least))
        if (at, count) not in self._known:
            found = self._extras(count) if at == len(self._members) else self._next(at, count)
            self._known[at, count] = found if found in (EMPTY, NOTHING) else self._define(found)
        return self._known[at, count]

    def _next(self, at: int, count: int) -> Node:
        member = self._members[at]
        parts = [] if member.is_required else [self.after(at + 1, count)]
        if self._most is None or count < self._most:
            comma = COMMA if count else EMPTY
            parts.append(chain(comma, member.node, self.after(at + 1, count + 1)))
        return choice(*parts)

    def _extras(self, count: int) -> Node:
        least = max(0, self._least - count)
        most = None if self._most is None else self._most - count
        if self._extra == NOTHING:
            return NOTHING if least else EMPTY
        more = chain(COMMA, self._extra)
        if count:
            return repeat(more, least, most)
        if most == 0:
            return EMPTY
        found = chain(
            self._extra, repeat(more, max(0, least - 1), None if most is None else most - 1)
        )
        return found if least else optional(found)
