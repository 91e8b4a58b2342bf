"""A grammar in the notation of llguidance, the engine that ONNX Runtime GenAI is built with.

It is a dialect of Lark's: terminals are regular expressions, which its lexer reads as far as they
go, and rules put terminals together.  Source: the page on syntax of
github.com/guidance-ai/llguidance.
"""

from __future__ import annotations

import json
from typing import Any

from aipc.runtimes.grammars.automaton import Both, Complement, is_plain
from aipc.runtimes.grammars.grammar import (
    EMPTY,
    ROOT,
    Chain,
    Chars,
    Choice,
    ContextFreeGrammar,
    Name,
    Node,
    Word,
)

_SPECIAL = frozenset(map(ord, r"\/.+*?()|[]{}^$-&~#"))


def write_lark(grammar: ContextFreeGrammar) -> str:
    """The rules, one a line; the answer is the rule ``start``."""
    lines = []
    for name, node in grammar.rules:
        if name in grammar.terminals:
            lines.append(f"{name.upper()}: {_terminal(node)}")
        else:
            shown = "start" if name == ROOT else name
            lines.append(f"{shown}: {_rule(node, grammar)}")
    return "\n".join(lines) + "\n"


def _rule(node: Node, grammar: ContextFreeGrammar) -> str:
    if isinstance(node, Name):
        return node.name.upper() if node.name in grammar.terminals else node.name
    if isinstance(node, Word):
        return json.dumps(node.text, ensure_ascii=False)
    if isinstance(node, Chars):
        return f"/{_expression(node)}/"
    if isinstance(node, Chain):
        return " ".join(_grouped(part, grammar) for part in node.parts) or '""'
    if isinstance(node, Choice):
        some = " | ".join(_rule(part, grammar) for part in node.parts if part != EMPTY)
        return f"({some})?" if EMPTY in node.parts else some
    return _grouped(node.part, grammar) + _count(node.least, node.most)


def _grouped(node: Node, grammar: ContextFreeGrammar) -> str:
    text = _rule(node, grammar)
    return text if isinstance(node, (Name, Word, Chars)) else f"({text})"


def _terminal(node: Any) -> str:
    """A regular node; of what holds together and what is left out, in Lark's own signs."""
    if is_plain(node):
        return f"/{_expression(node)}/" if node != EMPTY else '""'
    if isinstance(node, Both):
        return " & ".join(f"({_terminal(part)})" for part in node.parts)
    if isinstance(node, Complement):
        return f"~({_terminal(node.part)})"
    if isinstance(node, Chain):
        return " ".join(f"({_terminal(part)})" for part in node.parts)
    if isinstance(node, Choice):
        return " | ".join(f"({_terminal(part)})" for part in node.parts)
    return f"({_terminal(node.part)})" + _count(node.least, node.most)


def _expression(node: Node) -> str:
    """A regular node; a group where it has parts."""
    if isinstance(node, Chars):
        return "[" + "".join(f"{_sign(a)}-{_sign(b)}" for a, b in node.ranges) + "]"
    if isinstance(node, Word):
        return "".join(_sign(ord(character)) for character in node.text)
    if isinstance(node, Chain):
        return "".join(map(_expression, node.parts))
    if isinstance(node, Choice):
        return "(?:" + "|".join(map(_expression, node.parts)) + ")"
    if isinstance(node, Name):
        raise TypeError("a terminal names no rule")
    return f"(?:{_expression(node.part)})" + _count(node.least, node.most)


def _sign(code: int) -> str:
    if code in _SPECIAL:
        return "\\" + chr(code)
    return chr(code) if 32 <= code < 127 else f"\\x{{{code:X}}}"


def _count(least: int, most: int | None) -> str:
    if (least, most) == (0, 1):
        return "?"
    if most is None:
        return "*" if least == 0 else f"{{{least},}}"
    return f"{{{least},{most}}}"
