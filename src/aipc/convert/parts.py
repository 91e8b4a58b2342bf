"""What a network is stacked of: matrices and vectors, and their checkpoint tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar


@dataclass(frozen=True)
class Matrix:
    """Weights [rows, columns] of one product: checkpoint tensors stacked in order.

    Of several ``experts`` the rows of one come after those of another, as many for each, and no
    tensor has rows of two; a token is multiplied with the rows of ``active`` experts.  Where
    tensors ``alternate``, the rows of each two of them, one after the other, take turns: the first
    of one, the first of the other, the second of one ...
    """

    name: str
    tensors: tuple[str, ...]
    rows: int
    columns: int
    experts: int = 1
    active: int = 1
    alternate: bool = False

    @property
    def weights(self) -> int:
        return self.rows * self.columns

    @property
    def token_weights(self) -> int:
        """Those that a token is multiplied with."""
        return self.weights // self.experts * self.active

    @property
    def expert_rows(self) -> int:
        """Of each expert; all of them where there is one."""
        return self.rows // self.experts

    @property
    def each_expert(self) -> Iterator[Matrix]:
        """The rows of one after the other, all under the name of the whole."""
        count = len(self.tensors) // self.experts
        for start in range(0, len(self.tensors), count):
            tensors = self.tensors[start : start + count]
            yield replace(self, tensors=tensors, rows=self.expert_rows, experts=1, active=1)


@dataclass(frozen=True)
class Vector:
    """A norm weight, a bias or taps, in float: checkpoint tensors joined in order.

    ``offset`` is added to the checkpoint's values (some networks store norm weights less 1).
    Each of the ``length`` entries is a number, or of the shape ``entry``.  A norm weight that has a
    ``bias`` is that of a layer norm: the mean is subtracted first, the bias added last.
    """

    name: str
    tensors: tuple[str, ...]
    length: int
    offset: float = 0.0
    entry: tuple[int, ...] = ()
    bias: Vector | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length, *self.entry)

    @property
    def weights(self) -> int:
        return math.prod(self.shape)


_Part = TypeVar("_Part", Matrix, Vector)


def parts_of(whole: Any, kind: type[_Part]) -> Iterator[_Part]:
    """Every matrix or vector of a dataclass, and of those in it and in its tuples, in order."""
    members = whole if isinstance(whole, tuple) else (getattr(whole, f.name) for f in fields(whole))
    for part in members:
        if isinstance(part, kind):
            yield part
        if isinstance(part, tuple) or is_dataclass(part):
            yield from parts_of(part, kind)


class Compound:
    """A dataclass of matrices and vectors, and of others such."""

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """In the order of use."""
        return tuple(parts_of(self, Matrix))

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """In the order of use."""
        return tuple(parts_of(self, Vector))
