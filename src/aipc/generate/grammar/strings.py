"""Texts, by all that the schemas of a case say of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aipc.generate.grammar.cases import Case, pattern_of_not, values_of_not
from aipc.generate.grammar.compiling import Compiling
from aipc.generate.grammar.pattern import UnsupportedPattern, language
from aipc.generate.grammar.texts import (
    format_language,
    matching,
    other_than,
    plain_text,
    quoted,
)
from aipc.generate.grammar.values import written_value
from aipc.runtimes.grammars.automaton import ANYTHING, Complement
from aipc.runtimes.grammars.grammar import NOTHING, Node, Word, choice
from aipc.runtimes.json_schema import values_of


def string_node(compiler: Compiling, case: Case, taken: Sequence[str] = ()) -> Node:
    """A text that fits every schema of ``case`` and is none of ``taken``."""
    return _String(compiler, case, taken).node()


class _String:
    def __init__(self, compiler: Compiling, case: Case, taken: Sequence[str]) -> None:
        self._compiler, self._case = compiler, case
        self._least = max((node.get("minLength", 0) for node in case), default=0)
        counts = [node["maxLength"] for node in case if "maxLength" in node]
        self._most = min(counts, default=None)
        left_out = [value for node in case for value in values_of_not(node) or ()]
        self._taken = [*taken, *(value for value in left_out if isinstance(value, str))]

    def node(self) -> Node:
        if any(values_of(node) is not None for node in self._case):
            values = self._compiler.listed(self._case) or []
            left = [each for each in values if isinstance(each, str) and each not in self._taken]
            return self._compiler.terminal(choice(*(Word(written_value(each)) for each in left)))
        patterns = self._patterns()
        formats = [format_language(node["format"]) for node in self._case if "format" in node]
        formats = [each for each in dict.fromkeys(formats) if each is not None]
        has_length = self._least > 0 or self._most is not None
        if not patterns and not formats:
            if not self._taken:
                return self._closed(plain_text(self._least, self._most))
            if not has_length:
                return self._closed(other_than(self._taken))
        return self._matching(patterns, formats)

    def _patterns(self) -> list[Any]:
        found: dict[Any, None] = {}
        for node in self._case:
            if "pattern" in node:
                found[self._language(node, node["pattern"])] = None
            kept_out = pattern_of_not(node)
            if kept_out is not None:
                texts = self._language(node, kept_out)
                found[None if texts is None else Complement(texts)] = None
        return [texts for texts in found if texts is not None]

    def _language(self, node: Any, pattern: str) -> Any:
        try:
            return language(pattern)
        except UnsupportedPattern as error:
            self._compiler.not_enforced(f"{error} in the pattern", node)
            return None

    def _matching(self, patterns: list[Any], formats: list[Any]) -> Node:
        """All together; a format beside a pattern is a note where that would be too much."""
        tried = [([*patterns, *formats] or [ANYTHING], self._least, self._most)]
        if patterns and formats:
            tried.append((patterns, self._least, self._most))
        only = patterns or formats
        noted = len(tried)
        if only:
            tried.append((only[:1], 0, None))
        for number, (languages, least, most) in enumerate(tried):
            if number == noted:
                self._compiler.not_enforced("what is said of one text together", self._case[0])
            node = self._tried(languages, least, most)
            if node is not None:
                return node
        self._compiler.not_enforced("a pattern of so many states", self._case[0])
        return self._closed(plain_text(self._least, self._most))

    def _tried(self, languages: list[Any], least: int, most: int | None) -> Node | None:
        try:
            return self._closed(matching(languages, least, most, self._taken))
        except UnsupportedPattern:
            return None

    def _closed(self, body: Node) -> Node:
        return self._compiler.terminal(quoted(body)) if body != NOTHING else NOTHING
