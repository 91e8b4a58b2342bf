"""Lists, by all that the schemas of a case say of them together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

from aipc.generate.grammar.cases import Case
from aipc.generate.grammar.compiling import Compiling
from aipc.generate.grammar.members import COMMA, enclosed, listed
from aipc.generate.grammar.values import written_value
from aipc.runtimes.grammars.grammar import EMPTY, NOTHING, Node, Word, chain, choice
from aipc.runtimes.json_schema import list_of

_MOST_ORDERS = 4
"""Values of a set that may come in any order; of more, in the order of the schema."""
_MOST_COUNTED = 2000
"""Rules that counting the values of a set may take."""
_MOST_VALUES = 300


def array_node(compiler: Compiling, case: Case) -> Node:
    """A list that fits every schema of ``case``."""
    least = max((node.get("minItems", 0) for node in case), default=0)
    most = min((node["maxItems"] for node in case if "maxItems" in node), default=None)
    count = max((len(list_of(node, "prefixItems")) for node in case), default=0)
    others = [node["items"] for node in case if "items" in node]
    unique = next((node for node in case if node.get("uniqueItems") is True), None)
    if unique is not None and (most is None or most > 1):
        values = compiler.finite(others) if others and not count else None
        if values is not None and _is_countable(values, least, most):
            nodes = [Word(written_value(value)) for value in values]
            return _Set(compiler, nodes, least, most).node()
        compiler.not_enforced("'uniqueItems'", unique)
    first = [compiler.node_of(_schemas_at(case, place)) for place in range(count)]
    rest = compiler.node_of(others)
    end = next((at for at, node in enumerate([*first, rest]) if node == NOTHING), None)
    if end is not None:
        most = end if most is None else min(most, end)
    return listed(first, rest, least, most)


def _schemas_at(case: Case, place: int) -> list[Any]:
    found = []
    for node in case:
        prefix = list_of(node, "prefixItems")
        if place < len(prefix):
            found.append(prefix[place])
        elif "items" in node:
            found.append(node["items"])
    return found


def _is_countable(values: Sequence[Any], least: int, most: int | None) -> bool:
    counts = max(1, least) if most is None or most >= len(values) else most
    return len(values) <= _MOST_VALUES and len(values) * counts <= _MOST_COUNTED


class _Set:
    """Different items of a few values."""

    def __init__(
        self, compiler: Compiling, nodes: Sequence[Node], least: int, most: int | None
    ) -> None:
        self._compiler, self._nodes, self._least = compiler, nodes, least
        self._most = len(nodes) if most is None else min(most, len(nodes))
        self._known: dict[tuple[int, int], Node] = {}

    def node(self) -> Node:
        if self._least > self._most:
            return NOTHING
        if len(self._nodes) > _MOST_ORDERS:
            return enclosed("[", self._after(0, 0), "]")
        counts = range(self._least, self._most + 1)
        orders = [order for count in counts for order in permutations(self._nodes, count)]
        return enclosed("[", choice(*map(_separated, orders)), "]")

    def _after(self, at: int, count: int) -> Node:
        """Some of the values from ``at`` on, ``count`` being written."""
        if self._most >= len(self._nodes):
            count = min(count, max(1, self._least))
        if at == len(self._nodes) or (count == self._most < len(self._nodes)):
            return EMPTY if count >= self._least else NOTHING
        if (at, count) not in self._known:
            comma = COMMA if count else EMPTY
            taken = chain(comma, self._nodes[at], self._after(at + 1, count + 1))
            found = choice(self._after(at + 1, count), taken)
            self._known[at, count] = self._compiler.define(found)
        return self._known[at, count]


def _separated(nodes: Sequence[Node]) -> Node:
    parts: list[Node] = []
    for number, node in enumerate(nodes):
        parts += [*([COMMA] if number else []), node]
    return chain(*parts) if parts else EMPTY
