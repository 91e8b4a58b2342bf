"""What an answer must be, by a JSON schema: held to limits and written as a grammar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aipc.errors import UsageError
from aipc.generate.structured.compiler import Compiler
from aipc.generate.structured.schema import Schema, check
from aipc.generate.structured.validator import misfit
from aipc.runtimes.base import Constraint

LENIENT = "say strict: false, then the finished answer is checked, or write it another way"


@dataclass(frozen=True)
class Enforced:
    """A schema's grammar, and what it does not hold."""

    constraint: Constraint
    unenforced: Sequence[str] = ()
    schema: Schema | None = None

    def misfit(self, text: str) -> str:
        """What of a finished answer does not fit; empty where it does, or nothing is left to check."""
        if self.schema is None or not self.unenforced:
            return ""
        return misfit(text, self.schema)


def constrain(schema: Schema, *, strict: bool = True) -> Enforced:
    """What makes an answer fit ``schema``.

    Raises:
        UsageError: as `check`; no answer fits; or a part that is not enforced, where ``strict``.
    """
    plain = check(schema)
    compiler = Compiler(plain)
    grammar = compiler.compile()
    if strict and compiler.unenforced:
        raise UsageError(f"{compiler.unenforced[0]} can't be enforced", LENIENT)
    return Enforced(Constraint("grammar", grammar=grammar), tuple(compiler.unenforced), plain)
