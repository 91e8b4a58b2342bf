"""What an answer must be, by a JSON schema: held to limits and written as a grammar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    compiler = Compiler(plain)
    return _enforced(compiler, compiler.node_of((plain,)), plain, strict=strict)


def constrain_either(
    schema: Schema, calls: Schema, around: Callable[[Node], Node], *, strict: bool = True
) -> Enforced:
    """What makes an answer fit ``schema``, or be what ``around`` makes of what fits ``calls``.

    Errors are those of `constrain`.
    """
    both = {
        "$defs": {
            "answer": moved(checked(schema), "#/$defs/answer"),
            "calls": moved(checked(calls), "#/$defs/calls"),
        }
    }
    compiler = Compiler(both)
    answer = compiler.node_of((both["$defs"]["answer"],))
    called = compiler.node_of((both["$defs"]["calls"],))
    return _enforced(compiler, choice(around(called), answer), checked(schema), strict=strict)


def _enforced(compiler: Compiler, root: Node, schema: Schema, *, strict: bool) -> Enforced:
    grammar = compiler.grammar(root)
    if strict and compiler.unenforced:
        raise UsageError(f"{compiler.unenforced[0]} can't be enforced", LENIENT)
    return Enforced(Constraint("json_schema", grammar=grammar), tuple(compiler.unenforced), schema)
