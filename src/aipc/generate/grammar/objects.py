"""Which properties an object may have, and what their values may be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aipc.generate.grammar.cases import Case
from aipc.generate.grammar.compiling import Compiling
from aipc.generate.grammar.members import Member, properties
from aipc.generate.grammar.pattern import UnsupportedPattern, language
from aipc.runtimes.grammars.automaton import holds
from aipc.runtimes.grammars.grammar import NOTHING, Node, Word, chain, choice, optional
from aipc.runtimes.json_schema import mapping_of, required_of


def object_node(compiler: Compiling, case: Case) -> Node:
    """An object that fits every schema of ``case``."""
    return _Object(compiler, case).node()


class _Object:
    def __init__(self, compiler: Compiling, case: Case) -> None:
        self._compiler, self._case = compiler, case
        self._required = dict.fromkeys(
            name for node in case for name in required_of(node, "an object")
        )
        self._names = [node["propertyNames"] for node in case if "propertyNames" in node]
        self._patterns = self._read_patterns()

    def node(self) -> Node:
        names = dict.fromkeys(
            name for node in self._case for name in mapping_of(node, "properties")
        )
        listed = self._compiler.finite(self._names) if self._names else None
        candidates = [*names, *(name for name in self._required if name not in names)]
        candidates += [name for name in listed or () if name not in candidates]
        members = []
        for name in candidates:
            value: Node = NOTHING
            if listed is None or name in listed:
                value = self._compiler.node_of(self._schemas_of(name))
            is_required = name in self._required
            if value != NOTHING or is_required:
                members.append(
                    Member(_pair(Word(json.dumps(name, ensure_ascii=False)), value), is_required)
                )
        if any(member.node == NOTHING and member.is_required for member in members):
            return NOTHING
        extra = NOTHING if listed is not None else self._extra(candidates)
        return self._counted(members, extra)

    def _counted(self, members: list[Member], extra: Node) -> Node:
        least = max((node.get("minProperties", 0) for node in self._case), default=0)
        counts = [node["maxProperties"] for node in self._case if "maxProperties" in node]
        most = min(counts, default=None)
        if extra != NOTHING and least > max(1, sum(each.is_required for each in members)):
            self._lost("minProperties")  # a name may come twice
        found = properties(members, extra, least, most, self._compiler.define)
        if found is None:
            self._lost("minProperties" if least else "maxProperties")
            found = properties(members, extra, 0, None, self._compiler.define)
        return NOTHING if found is None else found

    def _lost(self, keyword: str) -> None:
        for node in self._case:
            if keyword in node:
                self._compiler.not_enforced(f"'{keyword}'", node)

    def _read_patterns(self) -> list[tuple[Mapping[str, Any], str, Any, Any]]:
        """Of each pattern of names: where it stands, itself, its texts, the values' schema."""
        found: list[tuple[Mapping[str, Any], str, Any, Any]] = []
        for node in self._case:
            for pattern, schema in mapping_of(node, "patternProperties").items():
                texts = self._texts_of(node, pattern)
                if texts is not None:
                    found.append((node, pattern, texts, schema))
        return found

    def _texts_of(self, node: Mapping[str, Any], pattern: str) -> Any:
        try:
            return language(pattern)
        except UnsupportedPattern as error:
            self._compiler.not_enforced(f"{error} in 'patternProperties'", node)
            return None

    def _schemas_of(self, name: str) -> list[Any]:
        """The schemas for the value of the property ``name``."""
        found: list[Any] = []
        for node in self._case:
            own = [
                schema
                for at, _, texts, schema in self._patterns
                if at is node and holds(texts, name)
            ]
            if name in mapping_of(node, "properties"):
                own.insert(0, node["properties"][name])
            found += own or self._unnamed(node, name)
        return found

    def _unnamed(self, node: Mapping[str, Any], name: str) -> list[Any]:
        """What a schema says of a property that it does not name, but another may."""
        if "additionalProperties" in node:
            return [node["additionalProperties"]]
        is_evaluated = any(name in mapping_of(other, "properties") for other in self._case) or any(
            holds(texts, name) for _, _, texts, _ in self._patterns
        )
        return [] if is_evaluated else _others(node)

    def _extra(self, taken: Sequence[str]) -> Node:
        """Pairs whose names are not listed."""
        choices = [
            self._pair_of(
                [{"type": "string", "pattern": pattern}],
                [schema, *self._elsewhere(node)],
                taken,
                others=pattern,
            )
            for node, pattern, _, schema in self._patterns
        ]
        stated = [schema for node in self._case for schema in _others(node)]
        is_open = bool(stated) or not any(
            node.keys() & {"properties", "patternProperties", "required"} for node in self._case
        )
        if is_open and not any(schema is False for schema in stated):
            choices.append(self._pair_of([], stated, taken, others=None))
        return choice(*(each for each in choices if each != NOTHING))

    def _elsewhere(self, node: Mapping[str, Any]) -> list[Any]:
        """What the other schemas say of properties that they do not name."""
        return [
            other["additionalProperties"]
            for other in self._case
            if other is not node and "additionalProperties" in other
        ]

    def _pair_of(
        self, names: list[Any], values: list[Any], taken: Sequence[str], *, others: str | None
    ) -> Node:
        avoided = {pattern for _, pattern, _, _ in self._patterns if pattern != others}
        value = self._compiler.node_of(values)
        if value == NOTHING:
            return NOTHING
        wanted = [*self._names, *names, *({"not": {"pattern": each}} for each in sorted(avoided))]
        return _pair(self._compiler.key_node(wanted, taken), value)


def _others(node: Mapping[str, Any]) -> list[Any]:
    """What a schema says of properties that it does not name."""
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if keyword in node:
            return [node[keyword]]
    return []


def _pair(key: Node, value: Node) -> Node:
    if NOTHING in (key, value):
        return NOTHING
    return chain(key, Word(":"), optional(Word(" ")), value)
