"""A JSON schema as a grammar of the answers that fit it, the same for every engine.

The grammar may allow less than the schema (an order of properties, one way to write a value,
bounded numbers) and never more, but for the parts that it lists as not enforced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import permutations
from typing import Any

from aipc.errors import UsageError
from aipc.generate.structured.alternatives import Alternatives
from aipc.runtimes.automaton import ANYTHING, Complement
from aipc.generate.structured.cases import (
    Case,
    Cases,
    is_taken_apart,
    pattern_of_not,
    values_of_not,
)
from aipc.generate.structured.members import BREAK, SPACE, enclosed, listed
from aipc.generate.structured.numerals import INTEGER, NUMBER, integers, numbers
from aipc.generate.structured.objects import object_node
from aipc.generate.structured.pattern import UnsupportedPattern, language
from aipc.generate.structured.texts import (
    format_language,
    matching,
    other_than,
    plain_text,
    quoted,
)
from aipc.generate.structured.steps import multiples
from aipc.generate.structured.validator import fits
from aipc.runtimes.grammar import (
    EMPTY,
    NOTHING,
    ROOT,
    Chain,
    Grammar,
    Name,
    Node,
    Word,
    chain,
    choice,
    optional,
    repeat,
)
from aipc.runtimes.json_schema import KEYWORDS_OF, KNOWN, TYPES, list_of, subschemas, types_of, values_of

MAX_RULES = 8000
_SPACE = choice(Word(" "), chain(Word("\n"), repeat(Word(" "), 0, 32)))
_MOST_ORDERS = 4
"""Values of a set that may come in any order; of more, in the order of the schema."""
_MOST_SET = 300


class Compiler:
    """Of one checked schema."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._cases = Cases(root)
        self._alternatives = Alternatives(root)
        self._rules: dict[str, Node] = {}
        self._terminals: dict[Node, str] = {}
        self._known: dict[tuple[int, ...], Node] = {}
        self._alive: list[Any] = []
        self._pointers = {id(node): pointer for node, pointer in subschemas(root)}
        self.unenforced: list[str] = []
        """What the grammar does not keep, each with its place."""

    def compile(self) -> Grammar:
        """Raises UsageError where no answer fits, or the grammar would be too large."""
        self._rules[ROOT] = EMPTY
        self._rules[ROOT] = self.node_of((self._root,))
        self._rules[BREAK] = _SPACE
        terminals = frozenset({BREAK, *self._terminals.values()})
        grammar = Grammar.of(self._rules, terminals)
        if grammar.is_empty:
            raise UsageError("no answer fits the schema", "mend its contradiction")
        return grammar

    def node_of(self, schemas: Sequence[Any]) -> Node:
        """What fits all of ``schemas``."""
        targets = {id(target): target for target in map(self._cases.target, schemas)}
        if any(target is False for target in targets.values()):
            return NOTHING
        limiting = [
            each for each in targets.values() if isinstance(each, dict) and each.keys() & KNOWN
        ]
        if not limiting:
            return self._anything()
        key = tuple(sorted(map(id, limiting)))
        if key not in self._known:
            self._alive += limiting
            name = self._new_name()
            self._known[key] = Name(name)
            self._rules[name] = self._body(limiting)
        return self._known[key]

    def not_enforced(self, what: str, node: Mapping[str, Any]) -> None:
        found = f"{what} at {self._pointers.get(id(node), '#')} of the schema"
        if found not in self.unenforced:
            self.unenforced.append(found)

    def define(self, node: Node) -> Node:
        """A rule of its own for ``node``."""
        name = self._new_name()
        self._rules[name] = node
        return Name(name)

    def terminal(self, node: Node) -> Node:
        """A terminal of its own for a regular ``node``, once for all that are alike."""
        if node in {EMPTY, NOTHING}:
            return node
        if node not in self._terminals:
            self._terminals[node] = name = self._new_name()
            self._rules[name] = node
        return Name(self._terminals[node])

    def finite(self, schemas: Sequence[Any]) -> list[Any] | None:
        """The values that fit all of ``schemas``, where those are listed."""
        found: list[Any] = []
        for case in self._cases.of(schemas):
            values = self._listed(case)
            if values is None:
                return None
            found += values
        return _distinct(found)

    def key_node(self, case: Sequence[Any], taken: Sequence[str]) -> Node:
        """Names of properties that fit the schemas ``case``, none of ``taken``."""
        if not case:
            return self.terminal(quoted(other_than(taken)))
        return choice(*(self._text(each, taken) for each in self._cases.of(case)))

    def _new_name(self) -> str:
        if len(self._rules) > MAX_RULES:
            raise UsageError("the schema takes too many rules", "ask for something simpler")
        name = f"r{len(self._rules)}"
        self._rules[name] = NOTHING
        return name

    def _body(self, schemas: Sequence[dict[str, Any]]) -> Node:
        self._note_lost(schemas)
        if len(schemas) == 1:
            keywords = schemas[0].keys() & KNOWN
            if keywords in ({"anyOf"}, {"oneOf"}):
                return choice(*(self.node_of((part,)) for part in schemas[0][keywords.pop()]))
        return choice(*(self._case(case) for case in self._cases.of(schemas)))

    def _note_lost(self, schemas: Sequence[dict[str, Any]]) -> None:
        for schema in schemas:
            lost = is_taken_apart(schema)
            if lost is not None:
                self.not_enforced(f"'{lost}'", schema)
            if "oneOf" in schema and not self._alternatives.are_apart(schema["oneOf"]):
                self.not_enforced("'oneOf' with parts that one value may fit together", schema)
            for keyword in ("contains", "unevaluatedItems", "$dynamicRef"):
                if keyword in schema:
                    self.not_enforced(f"'{keyword}'", schema)

    def _case(self, case: Case) -> Node:
        values = self._listed(case)
        if values is not None:
            return self.terminal(choice(*(Word(_json(value)) for value in values)))
        writers: dict[str, Callable[[Case], Node]] = {
            "object": lambda case: object_node(self, case),
            "array": self._array,
            "string": lambda case: self._text(case, ()),
            "number": self._number,
            "integer": self._integer,
            "boolean": lambda _: self.terminal(choice(Word("true"), Word("false"))),
            "null": lambda _: Word("null"),
        }
        types = self._types(case)
        return choice(*(write(case) for name, write in writers.items() if name in types))

    def _listed(self, case: Case) -> list[Any] | None:
        lists = [values for values in map(values_of, case) if values is not None]
        if not lists:
            return [] if not self._types(case) else None
        return _distinct(
            [
                value
                for value in min(lists, key=len)
                if all(fits(value, node, self._root) for node in case)
            ]
        )

    def _types(self, case: Case) -> set[str]:
        """Types that all schemas allow; where none is said, those that keywords are about."""
        stated = [set(types_of(node, "#")) for node in case if "type" in node]
        for types in stated:
            types |= {"integer"} & ({"integer"} if "number" in types else set())
        if stated:
            found = set.intersection(*stated)
        else:
            keywords = frozenset().union(*(node.keys() for node in case))
            found = {name for name, about in KEYWORDS_OF.items() if keywords & about}
            found = found or set(TYPES)
        return found - {"integer"} if "number" in found else found

    def _text(self, case: Sequence[Mapping[str, Any]], taken: Sequence[str]) -> Node:
        least = max((node.get("minLength", 0) for node in case), default=0)
        most = min((node["maxLength"] for node in case if "maxLength" in node), default=None)
        excluded = [*taken]
        for node in case:
            excluded += [each for each in values_of_not(node) or () if isinstance(each, str)]
        listed_names = [values for values in map(values_of, map(dict, case)) if values is not None]
        if listed_names:
            names = self._listed(tuple(map(dict, case))) or []
            left = [name for name in names if isinstance(name, str) and name not in excluded]
            return self.terminal(choice(*(Word(_json(name)) for name in left)))
        languages = self._languages(case)
        if languages or excluded and (least or most is not None):
            return self._matching(case, languages, least, most, excluded)
        body = other_than(excluded) if excluded else plain_text(least, most)
        return self.terminal(quoted(body)) if body != NOTHING else NOTHING

    def _languages(self, case: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Of the patterns and formats; a format that is a note has none."""
        found: dict[Any, None] = {}
        for node in case:
            for keyword, read in (("pattern", language), ("format", format_language)):
                if keyword not in node:
                    continue
                try:
                    read_language = read(node[keyword])
                except UnsupportedPattern as error:
                    self.not_enforced(f"{error} in the pattern", node)
                else:
                    found.setdefault(read_language)
            kept_out = pattern_of_not(node)
            if kept_out is not None:
                found.setdefault(Complement(language(kept_out)))
        found.pop(None, None)
        return list(found)

    def _matching(
        self,
        case: Sequence[Mapping[str, Any]],
        languages: list[Any],
        least: int,
        most: int | None,
        excluded: Sequence[str],
    ) -> Node:
        prefix = self._new_name()
        tried = [(languages or [ANYTHING], least, most)]
        if len(languages) > 1:
            tried.append((languages[:1], least, most))
        tried += [(languages[:1], 0, None)] if languages else []
        for number, (some, short, long) in enumerate(tried):
            try:
                found = matching(some, short, long, prefix, excluded)
            except UnsupportedPattern as error:
                what = "pattern, format and lengths together" if number < len(tried) - 1 else "pattern"
                self.not_enforced(f"the {what} ({error})", case[0])
                continue
            if isinstance(found, dict):
                self._rules.update(found)
                return quoted(Name(prefix))
            return self.terminal(quoted(found)) if found != NOTHING else NOTHING
        return self.terminal(quoted(plain_text(least, most)))

    def _integer(self, case: Case) -> Node:
        least, most, _, _ = _bounds(case)
        low = None if least is None else math.ceil(least)
        high = None if most is None else math.floor(most)
        for node in case:
            for keyword, step, rounded in (
                ("exclusiveMinimum", 1, math.floor),
                ("exclusiveMaximum", -1, math.ceil),
            ):
                if keyword in node:
                    limit = rounded(Decimal(str(node[keyword]))) + step
                    if step > 0:
                        low = limit if low is None else max(low, limit)
                    else:
                        high = limit if high is None else min(high, limit)
        steps = [node["multipleOf"] for node in case if "multipleOf" in node]
        if steps:
            return self._steps(case, multiples(steps, low, high))
        return self.terminal(integers(low, high) if (low, high) != (None, None) else INTEGER)

    def _steps(self, case: Case, node: Node | None) -> Node:
        if node is None:
            self.not_enforced("'multipleOf'", next(each for each in case if "multipleOf" in each))
            return self.terminal(NUMBER)
        return self.terminal(node)

    def _number(self, case: Case) -> Node:
        if any("multipleOf" in node for node in case):
            return self._integer(case) if _is_whole(case) else self._decimal_steps(case)
        least, most, above, below = _bounds(case, exclusive=True)
        return self.terminal(numbers(least, most, above=above, below=below))

    def _decimal_steps(self, case: Case) -> Node:
        steps = [node["multipleOf"] for node in case if "multipleOf" in node]
        least, most, above, below = _bounds(case, exclusive=True)
        return self._steps(case, multiples(steps, least, most, above=above, below=below))

    def _array(self, case: Case) -> Node:
        least = max((node.get("minItems", 0) for node in case), default=0)
        most = min((node["maxItems"] for node in case if "maxItems" in node), default=None)
        count = max(len(list_of(node, "prefixItems")) for node in case) if case else 0
        places = [self._at(case, place) for place in range(count)]
        others = [node["items"] for node in case if "items" in node]
        if any(node.get("uniqueItems") for node in case) and (most is None or most > 1):
            ordered = self._set(case, places, others, least, most)
            if ordered is not None:
                return ordered
        first = [self.node_of(each) for each in places]
        reachable = next((at for at, node in enumerate(first) if node == NOTHING), None)
        rest = self.node_of(others) if others else self._anything()
        if reachable is None and rest == NOTHING:
            reachable = count
        if reachable is not None:
            most = reachable if most is None else min(most, reachable)
        return listed(first, rest, least, most)

    def _at(self, case: Case, place: int) -> list[Any]:
        """The schemas for the item at ``place``."""
        found = []
        for node in case:
            prefix = list_of(node, "prefixItems")
            if place < len(prefix):
                found.append(prefix[place])
            elif "items" in node:
                found.append(node["items"])
        return found

    def _set(
        self, case: Case, places: list[Any], others: list[Any], least: int, most: int | None
    ) -> Node | None:
        """Different items of a few values: in any order, or in the schema's where they are many."""
        values = self.finite(others) if others and not places else None
        if values is None or len(values) > _MOST_SET or least > len(values):
            self.not_enforced("'uniqueItems'", next(node for node in case if "uniqueItems" in node))
            return None
        nodes = [Word(_json(value)) for value in values]
        highest = len(nodes) if most is None else min(most, len(nodes))
        if len(nodes) <= _MOST_ORDERS:
            lists = [
                _comma_separated(order)
                for count in range(least, highest + 1)
                for order in permutations(nodes, count)
            ]
            return enclosed("[", choice(*lists), "]")
        counted: dict[tuple[int, int], Node] = {}
        return enclosed("[", self._subset(nodes, 0, 0, least, highest, counted), "]")

    def _subset(
        self,
        nodes: Sequence[Node],
        at: int,
        count: int,
        least: int,
        most: int,
        known: dict[tuple[int, int], Node],
    ) -> Node:
        """Some of the values from ``at`` on, ``count`` being written."""
        if most >= len(nodes):
            count = min(count, max(1, least))
        if (at, count) not in known:
            if at == len(nodes) or count == most:
                return EMPTY if count >= least else NOTHING
            comma = chain(Word(","), SPACE) if count else EMPTY
            skipped = self._subset(nodes, at + 1, count, least, most, known)
            rest = self._subset(nodes, at + 1, count + 1, least, most, known)
            known[at, count] = self.define(choice(skipped, chain(comma, nodes[at], SPACE, rest)))
        return known[at, count]

    def _anything(self) -> Node:
        """Any JSON value."""
        name = "any"
        if name not in self._rules:
            value = Name(name)
            text = self.terminal(quoted(plain_text(0, None)))
            self._rules[name] = NOTHING
            pair = chain(text, Word(":"), optional(Word(" ")), value, SPACE)
            comma = chain(Word(","), SPACE)
            pairs = optional(chain(pair, repeat(chain(comma, pair))))
            items = optional(chain(value, SPACE, repeat(chain(comma, value, SPACE))))
            plain = self.terminal(choice(*map(Word, ("true", "false", "null"))))
            self._rules[name] = choice(
                text,
                self.terminal(NUMBER),
                plain,
                enclosed("{", pairs, "}"),
                enclosed("[", items, "]"),
            )
        return Name(name)


def _comma_separated(nodes: Sequence[Node]) -> Node:
    parts: list[Node] = []
    for number, node in enumerate(nodes):
        parts += [*([chain(Word(","), SPACE)] if number else []), node, SPACE]
    return Chain(tuple(parts)) if parts else EMPTY


def _bounds(
    case: Case, *, exclusive: bool = False
) -> tuple[Decimal | None, Decimal | None, bool, bool]:
    """The narrowest bounds, and whether they are themselves left out."""
    found: dict[str, tuple[Decimal, bool] | None] = {"minimum": None, "maximum": None}
    for node in case:
        for keyword, sign in (("minimum", 1), ("maximum", -1)):
            keywords = [(keyword, False)]
            if exclusive:
                keywords.append((f"exclusive{keyword.capitalize()}", True))
            for name, is_open in keywords:
                if name in node:
                    limit, best = Decimal(str(node[name])), found[keyword]
                    if best is None or (sign * limit, is_open) > (sign * best[0], best[1]):
                        found[keyword] = (limit, is_open)
    low, high = found["minimum"], found["maximum"]
    return (
        low[0] if low else None,
        high[0] if high else None,
        bool(low and low[1]),
        bool(high and high[1]),
    )


def _is_whole(case: Case) -> bool:
    """Whether a step is a whole number: then only whole numbers fit."""
    return any(float(node.get("multipleOf", 0.5)).is_integer() for node in case)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value)
    return text


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Each value once; 1.0 is 1, and true is not."""
    found: dict[str, Any] = {}
    for value in values:
        plain = int(value) if isinstance(value, float) and value.is_integer() else value
        found.setdefault(json.dumps(plain, sort_keys=True), value)
    return list(found.values())
