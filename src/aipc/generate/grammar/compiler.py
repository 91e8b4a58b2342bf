"""A JSON schema as a grammar of the answers that fit it, the same for every engine.

The grammar may allow less than the schema (an order of properties, one way to write a value,
bounded numbers) and never more, but for the parts that it lists as not enforced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import thread_time
from typing import Any

from aipc.errors import UsageError
from aipc.generate.grammar.alternatives import Alternatives
from aipc.generate.grammar.arrays import array_node
from aipc.generate.grammar.bounds import integer_node, number_node
from aipc.generate.grammar.cases import Case, Cases, is_taken_apart
from aipc.generate.grammar.members import BREAK, COMMA, enclosed
from aipc.generate.grammar.numerals import NUMBER
from aipc.generate.grammar.objects import object_node
from aipc.generate.grammar.strings import string_node
from aipc.generate.grammar.texts import other_than, plain_text, quoted
from aipc.generate.grammar.values import distinct, fits, written_value
from aipc.runtimes.grammars.grammar import (
    EMPTY,
    NOTHING,
    ROOT,
    ContextFreeGrammar,
    Name,
    Node,
    Word,
    chain,
    choice,
    optional,
    repeat,
)
from aipc.runtimes.json_schema import (
    KEYWORDS_OF,
    KNOWN,
    TYPES,
    subschemas,
    types_of,
    values_of,
)

MAX_RULES = 8000
LIMIT_S = 1.0
"""Of processor time."""
_SPACE = choice(Word(" "), chain(Word("\n"), repeat(Word(" "), 0, 32)))


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
        self._end = thread_time() + LIMIT_S
        self._pointers = {id(node): pointer for node, pointer in subschemas(root)}
        self.unenforced: list[str] = []
        """What the grammar does not keep, each with its place."""

    def grammar(self, root: Node) -> ContextFreeGrammar:
        """The rules with an answer's.  Raises UsageError where no answer fits."""
        rules = {ROOT: root, **self._rules, BREAK: _SPACE}
        terminals = frozenset({BREAK, *self._terminals.values()})
        grammar = ContextFreeGrammar.of(rules, terminals)
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
            name = self.new_name()
            self._known[key] = Name(name)
            self._rules[name] = self._body(limiting)
        return self._known[key]

    def not_enforced(self, what: str, node: Mapping[str, Any]) -> None:
        """Note what the grammar does not keep, and where."""
        found = f"{what} at {self._pointers.get(id(node), '#')} of the schema"
        if found not in self.unenforced:
            self.unenforced.append(found)

    def define(self, node: Node) -> Node:
        """A rule of its own for ``node``."""
        name = self.new_name()
        self._rules[name] = node
        return Name(name)

    def terminal(self, node: Node) -> Node:
        """A terminal of its own for a regular ``node``, once for all that are alike."""
        if node in {EMPTY, NOTHING}:
            return node
        if node not in self._terminals:
            self._terminals[node] = name = self.new_name()
            self._rules[name] = node
        return Name(self._terminals[node])

    def finite(self, schemas: Sequence[Any]) -> list[Any] | None:
        """The values that fit all of ``schemas``, where those are listed."""
        found: list[Any] = []
        for case in self._cases.of(schemas):
            values = self.listed(case)
            if values is None:
                return None
            found += values
        return distinct(found)

    def key_node(self, schemas: Sequence[Any], taken: Sequence[str]) -> Node:
        """Names of properties that fit all of ``schemas``, none of ``taken``."""
        if not schemas:
            return self.terminal(quoted(other_than(taken)))
        return choice(*(string_node(self, case, taken) for case in self._cases.of(schemas)))

    def new_name(self) -> str:
        """The name of a new rule."""
        if len(self._rules) > MAX_RULES or thread_time() > self._end:
            raise UsageError(
                "the schema takes too many rules or too long", "ask for something simpler"
            )
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
            for keyword in ("contains", "unevaluatedItems"):
                if keyword in schema:
                    self.not_enforced(f"'{keyword}'", schema)

    def _case(self, case: Case) -> Node:
        values = self.listed(case)
        if values is not None:
            return self.terminal(choice(*(Word(written_value(value)) for value in values)))
        writers: dict[str, Callable[[Case], Node]] = {
            "object": lambda case: object_node(self, case),
            "array": lambda case: array_node(self, case),
            "string": lambda case: string_node(self, case),
            "number": lambda case: self.terminal(number_node(case)),
            "integer": lambda case: self.terminal(integer_node(case)),
            "boolean": lambda _: self.terminal(choice(Word("true"), Word("false"))),
            "null": lambda _: Word("null"),
        }
        types = self._types(case)
        return choice(*(write(case) for name, write in writers.items() if name in types))

    def listed(self, case: Case) -> list[Any] | None:
        """The values that fit, where they are listed."""
        lists = [values for values in map(values_of, case) if values is not None]
        if not lists:
            return [] if not self._types(case) else None
        return distinct(
            [
                value
                for value in min(lists, key=len)
                if all(fits(value, node, self._root, self._end) for node in case)
            ]
        )

    def _types(self, case: Case) -> set[str]:
        """Types that all schemas allow; where none is said, those that keywords are about."""
        stated = [set(types_of(node, "#")) for node in case if "type" in node]
        if stated:
            found = set.intersection(
                *(types | ({"integer"} if "number" in types else set()) for types in stated)
            )
        else:
            keywords = frozenset().union(*(node.keys() for node in case))
            found = {name for name, about in KEYWORDS_OF.items() if keywords & about}
            found = found or set(TYPES)
        return found - {"integer"} if "number" in found else found

    def _anything(self) -> Node:
        """Any JSON value."""
        name = "any"
        if name not in self._rules:
            value = Name(name)
            text = self.terminal(quoted(plain_text(0, None)))
            self._rules[name] = NOTHING
            pair = chain(text, Word(":"), optional(Word(" ")), value)
            pairs = optional(chain(pair, repeat(chain(COMMA, pair))))
            items = optional(chain(value, repeat(chain(COMMA, value))))
            plain = self.terminal(choice(*map(Word, ("true", "false", "null"))))
            self._rules[name] = choice(
                text,
                self.terminal(NUMBER),
                plain,
                enclosed("{", pairs, "}"),
                enclosed("[", items, "]"),
            )
        return Name(name)
