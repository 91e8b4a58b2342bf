"""What the parts of the compiler ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aipc.generate.grammar.cases import Case
from aipc.runtimes.grammars.grammar import Node


class Compiling(Protocol):
    """A schema's grammar in the making."""

    def node_of(self, schemas: Sequence[Any]) -> Node:
        """What fits all of ``schemas``; of none, anything."""

    def key_node(self, schemas: Sequence[Any], taken: Sequence[str]) -> Node:
        """Names of properties that fit all of ``schemas``, none of ``taken``."""

    def listed(self, case: Case) -> list[Any] | None:
        """The values that fit, where they are listed."""

    def finite(self, schemas: Sequence[Any]) -> list[Any] | None:
        """The values that fit all of ``schemas``, where those are listed."""

    def define(self, node: Node) -> Node:
        """A rule of its own for ``node``."""

    def terminal(self, node: Node) -> Node:
        """A terminal of its own for a regular ``node``, once for all that are alike."""

    def not_enforced(self, what: str, node: Mapping[str, Any]) -> None:
        """Note what the grammar does not keep, and where."""
