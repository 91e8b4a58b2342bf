"""What an answer must be, by a JSON schema: held to limits and written as a grammar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aipc.errors import UsageError
from aipc.generate.grammar.compiler import Compiler
from aipc.generate.grammar.values import misfit
from aipc.generate.structured.schema import Schema, checked, moved
from aipc.runtimes.base import Constraint
from aipc.runtimes.grammars.grammar import Node, choice

LENIENT = "say strict: false, then the finished answer is checked, or write it another way"


@dataclass(frozen=True)
class Enforced:
    """A schema's grammar, and what it does not hold."""

    constraint: Constraint
    unenforced: Sequence[str] = ()
    schema: Schema | None = None

    def misfit(self, text: str) -> str:
        """What of a finished answer does not fit; empty where all of it was enforced."""
        if self.schema is None or not self.unenforced:
            return ""
        return misfit(text, self.schema)


def constrain(schema: Schema, *, strict: bool = True) -> Enforced:
    """What makes an answer fit ``schema``.

    Raises:
        UsageError: as `checked`; no answer fits; or a part that is not enforced, where ``strict``.
    """
    plain = checked(schema)
    return _enforced(plain, lambda compiler: compiler.node_of((plain,)), plain, strict=strict)


def constrain_either(
    schema: Schema, calls: Schema, around: Callable[[Node], Node], *, strict: bool = True
) -> Enforced:
    """What makes an answer fit ``schema``, or be what ``around`` makes of what fits ``calls``.

    Errors are those of `constrain`.
    """
    plain = checked(schema)
    both = {
        "$defs": {
            "answer": moved(plain, "#/$defs/answer"),
            "calls": moved(checked(calls), "#/$defs/calls"),
        }
    }

    def node(compiler: Compiler) -> Node:
        answer = compiler.node_of((both["$defs"]["answer"],))
        return choice(around(compiler.node_of((both["$defs"]["calls"],))), answer)

    return _enforced(both, node, plain, strict=strict)


def _enforced(
    root: dict[str, Any], node: Callable[[Compiler], Node], schema: Schema, *, strict: bool
) -> Enforced:
    compiler = Compiler(root)
    try:
        grammar = compiler.grammar(node(compiler))
    except RecursionError as error:
        raise UsageError(
            "the schema is too deeply nested, or its numbers are too long",
            "ask for something simpler",
        ) from error
    if strict and compiler.unenforced:
        raise UsageError(f"{compiler.unenforced[0]} can't be enforced", LENIENT)
    return Enforced(Constraint("json_schema", grammar=grammar), tuple(compiler.unenforced), schema)
