"""A grammar in the notation of xgrammar, the engine that OpenVINO GenAI is built with.

It is written for that engine's ways (measured with GenAI 2026.4.1): a state of a rule costs it
about 5 ms to compile, a reference to a rule costs it time at every token that crosses one, and
repetitions of more than that are slow both ways.  So counts are written in powers of two, whose
rules all texts share.
"""

from __future__ import annotations

import re
from functools import lru_cache

from aipc.errors import UsageError
from aipc.runtimes.grammars.automaton import Automaton, TooManyStates, has_empty, is_plain
from aipc.runtimes.grammars.grammar import (
    Chain,
    Chars,
    Choice,
    ContextFreeGrammar,
    Name,
    Node,
    Ranges,
    Repeat,
    Word,
    both,
    inner_nodes,
    joined,
)

_BLOCK = 5
"""Binary logarithm of the repetitions that are written out."""
_FEW = 4
_NARROW = 128
"""Characters of a class, and repetitions of it, that are written out."""
_NOT_ASCII = re.compile(r"([^\x00-\x7f])")
_ESCAPES = {9: r"\t", 10: r"\n", 13: r"\r", 34: r"\"", 92: r"\\"}
_IN_CLASS = frozenset(map(ord, '\\]-^["'))


@lru_cache(maxsize=64)
def write_ebnf(grammar: ContextFreeGrammar) -> str:
    """The rules, one a line; the answer is the rule ``root``.

    Kept: it is asked for when a grammar is tried out, and again when it is used.
    """
    return _Writer().write(grammar)


class _Writer:
    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._powers: dict[tuple[Node, int, bool], str] = {}

    def write(self, grammar: ContextFreeGrammar) -> str:
        for name, node in grammar.rules:
            self._rules[name] = ""  # in this order
            if name in grammar.terminals and (not is_plain(node) or _overlaps(node)):
                rules = _automaton(node).rules(name)
                self._rules.update({each: self._of(body) for each, body in rules.items()})
            else:
                self._rules[name] = self._of(node)
        return "\n".join(f"{name} ::= {body}" for name, body in self._rules.items())

    def _of(self, node: Node) -> str:
        if isinstance(node, Chars):
            return _class(node)
        if isinstance(node, Word):
            return _word(node.text)
        if isinstance(node, Name):
            return node.name
        if isinstance(node, Chain):
            return " ".join(map(self._enclosed, node.parts)) or '""'
        if isinstance(node, Choice):
            return " | ".join(self._of(part) for part in node.parts)
        return self._repeat(node)

    def _enclosed(self, node: Node) -> str:
        text = self._of(node)
        return f"({text})" if isinstance(node, Choice) else text

    def _part(self, node: Node) -> str:
        text = self._of(node)
        return f"({text})" if isinstance(node, (Choice, Chain, Repeat)) else text

    def _repeat(self, node: Repeat) -> str:
        if node.most is None:
            rest = self._endless(node.part)
            return f"{self._exactly(node.part, node.least)} {rest}" if node.least else rest
        if (node.least, node.most) == (0, 1):
            return f"{self._part(node.part)}?"
        if _is_narrow(node.part) and node.most <= _NARROW:
            return f"{self._part(node.part)}{{{node.least},{node.most}}}"
        parts = []
        if node.least:
            parts.append(self._exactly(node.part, node.least))
        if node.most > node.least:
            parts.append(self._at_most(node.part, node.most - node.least))
        return " ".join(parts)

    def _endless(self, part: Node) -> str:
        """A choice with a class as runs of the class: groups are rules, and slow."""
        plain, others = _divided(part)
        if plain is None or not others:
            return f"{self._part(part)}*"
        group = " | ".join(self._of(other) for other in others)
        return f"{_class(plain)}* (({group}) {_class(plain)}*)*"

    def _exactly(self, part: Node, count: int) -> str:
        """``count`` of a part; of many of a text's characters, those that need no escape."""
        if count < _FEW:
            return " ".join([self._part(part)] * count)
        plain, others = _divided(part)
        unit = plain if plain is not None and _are_escapes(others) else part
        names = [
            self._power(unit, power, is_whole=True)
            for power in reversed(range(count.bit_length()))
            if count >> power & 1
        ]
        return " ".join(names)

    def _at_most(self, part: Node, count: int) -> str:
        """Up to ``count``: a power of two of them and up to the rest, or fewer."""
        power = (count + 1).bit_length() - 1
        left = count - (1 << power) + 1
        if not left:
            return self._power(part, power, is_whole=False)
        whole = self._power(part, power, is_whole=True) if count >= 1 << power else ""
        if not whole:
            return self._power(part, power, is_whole=False)
        rest = self._at_most(part, count - (1 << power)) if count > 1 << power else ""
        return f"({whole} {rest} | {self._power(part, power, is_whole=False)})"

    def _power(self, part: Node, power: int, *, is_whole: bool) -> str:
        """The name of the rule of 2**power of a part, or of up to one less."""
        key = (part, power, is_whole)
        if key not in self._powers:
            name = f"p{len(self._powers)}"
            self._powers[key] = name
            self._rules[name] = ""
            self._rules[name] = self._written_power(part, power, is_whole=is_whole)
        return self._powers[key]

    def _written_power(self, part: Node, power: int, *, is_whole: bool) -> str:
        if power == 0:
            return self._part(part) if is_whole else '""'
        if power <= _BLOCK and _divided(part)[0] is not None:
            return self._block(part, 1 << power, is_whole=is_whole)
        half = self._power(part, power - 1, is_whole=True)
        if is_whole:
            return f"{half} {half}"
        less = self._power(part, power - 1, is_whole=False)
        return f"{half} {less} | {less}"

    def _block(self, part: Node, count: int, *, is_whole: bool) -> str:
        """Characters; an escape ends a block early, so that few states count them all."""
        plain, others = _divided(part)
        if plain is None:
            raise TypeError("a block is of characters")
        most = count if is_whole else count - 1
        written = _class(plain)
        body = f"{written}{{{count}}}" if is_whole else f"{written}{{0,{most}}}"
        if others:
            group = " | ".join(self._enclosed(other) for other in others)
            body += f" | {written}{{0,{most - 1}}} ({group})"
        return body


def _automaton(node: Node) -> Automaton:
    try:
        return Automaton.of(node)
    except TooManyStates as error:
        raise UsageError(
            "a pattern has too many alternatives that begin alike", "make it simpler"
        ) from error


def _divided(node: Node) -> tuple[Chars | None, tuple[Node, ...]]:
    """A class, and what else may stand in its place."""
    if isinstance(node, Chars):
        return node, ()
    if isinstance(node, Choice):
        classes = [part for part in node.parts if isinstance(part, Chars)]
        if len(classes) == 1:
            return classes[0], tuple(part for part in node.parts if part != classes[0])
    return None, ()


def _is_narrow(node: Node) -> bool:
    """Whether few tokens go through it: then its states cost little."""
    if isinstance(node, Word):
        return len(node.text) == 1
    return isinstance(node, Chars) and sum(b - a + 1 for a, b in node.ranges) <= _NARROW


def _are_escapes(nodes: tuple[Node, ...]) -> bool:
    return all(
        node.text.startswith("\\")
        if isinstance(node, Word)
        else isinstance(node, Chain) and node.parts[:1] == (Word("\\"),)
        for node in nodes
    )


def _word(text: str) -> str:
    """A text in its quotes; what is not ASCII as classes.

    The engine writes it as an escape and reads it again with the hexadecimal digits behind it.
    """
    parts = _NOT_ASCII.split(text)
    written = [
        f"[{_character(ord(part))}]" if _NOT_ASCII.fullmatch(part) else f'"{_signs(part)}"'
        for part in parts
        if part
    ]
    return " ".join(written) or '""'


def _signs(text: str) -> str:
    return "".join(_ESCAPES.get(ord(sign)) or _character(ord(sign)) for sign in text)


def _overlaps(node: Node) -> bool:
    """Whether alternatives begin alike: of some such xgrammar makes what allows more.

    Measured: `"19" [0-9]{2} | [2-9] [0-9]{3} | [1-9] [0-9]{4} | [1-9] [0-9]{5} | [1-9] [0-9]{6}`
    let 55 through.
    """
    if isinstance(node, Choice):
        seen: Ranges = ()
        for part in node.parts:
            first = _firsts(part)
            if both(seen, first) and not isinstance(part, Word):
                return True
            seen = joined((*seen, *first))
    return any(map(_overlaps, inner_nodes(node)))


def _firsts(node: Node) -> Ranges:
    """The characters that it may begin with."""
    if isinstance(node, Chars):
        return node.ranges
    if isinstance(node, Word):
        return ((ord(node.text[0]), ord(node.text[0])),) if node.text else ()
    if isinstance(node, Choice):
        return joined(each for part in node.parts for each in _firsts(part))
    if isinstance(node, Chain):
        found: list[tuple[int, int]] = []
        for part in node.parts:
            found += _firsts(part)
            if not has_empty(part):
                break
        return joined(found)
    return _firsts(node.part) if isinstance(node, Repeat) else ()


def _class(node: Chars) -> str:
    return "[" + "".join(map(_range, node.ranges)) + "]"


def _range(ends: tuple[int, int]) -> str:
    first, last = ends
    return _member(first) if first == last else f"{_member(first)}-{_member(last)}"


def _member(code: int) -> str:
    if code in _ESCAPES:
        return _ESCAPES[code]
    if code in _IN_CLASS:
        return "\\" + chr(code)
    return _character(code)


def _character(code: int) -> str:
    character = chr(code)
    return character if character.isprintable() else f"\\U{code:08X}"
