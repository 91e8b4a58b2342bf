"""Values of a GGUF file's metadata, each checked to be of its key's type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aipc.errors import UnsupportedModel, damaged, quoted

_MOST = 2**31


class Metadata:
    """Typed look-ups; a missing value without a default, or a value of another type, is damage.

    ``{arch}`` in a key is replaced by the architecture.
    """

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self._values = values

    @cached_property
    def architecture(self) -> str:
        """Of the network; all but the first of several parts may lack it."""
        return self.text("general.architecture")

    def __contains__(self, key: str) -> bool:
        return self._key(key) in self._values

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value)
        return value

    def texts(self, key: str) -> list[str]:
        value = self._get(key, None)
        if not isinstance(value, list):
            raise self._wrong(key, value)
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value)
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number from 0 up to 2**31; a list of equal ones, one a layer, counts as one."""
        value = self._get(key, default)
        if isinstance(value, np.ndarray) and value.size:
            value = self._uniform(key, value)
        if type(value) is not int or not 0 <= value < _MOST:
            raise self._wrong(key, value)
        return value

    def by_layer(self, key: str, layers: int) -> list[int]:
        """A size for each layer, whether the file has one for all or a list."""
        if not self.is_list(key):
            return [self.size(key)] * layers
        values = [int(value) for value in self.numbers(key)]
        if not values or len(values) != layers or not all(0 < value < _MOST for value in values):
            raise self._wrong(key, values[:8])
        return values

    def first_size(self, key: str, default: int | None = None) -> int:
        """The size of the first layer, where layers may differ."""
        if not self.is_list(key):
            return self.size(key, default)
        return self.by_layer(key, len(self.numbers(key)))[0]

    def size(self, key: str, default: int | None = None) -> int:
        """An `integer` that is not 0."""
        value = self.integer(key, default)
        if value == 0:
            raise self._wrong(key, value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A positive finite number, a float32 in its shortest decimal form."""
        number = self.share(key, default)
        if number == 0:
            raise self._wrong(key, number)
        return number

    def share(self, key: str, default: float | None = None) -> float:
        """As `number`, and 0."""
        number = self.finite(key, default)
        if number < 0:
            raise self._wrong(key, number)
        return number

    def finite(self, key: str, default: float | None = None) -> float:
        """As `share`, and negative ones."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value)
        with np.errstate(over="ignore"):
            shortest = float(str(np.float32(value)))
        if not math.isfinite(shortest):
            raise self._wrong(key, value)
        return shortest

    def is_list(self, key: str) -> bool:
        """Whether it has one value a layer."""
        return isinstance(self._values.get(self._key(key)), np.ndarray)

    def numbers(self, key: str) -> np.ndarray[Any, Any]:
        value = self._get(key, None)
        if not isinstance(value, np.ndarray):
            raise self._wrong(key, value)
        return value

    def _key(self, key: str) -> str:
        return key.replace("{arch}", self.architecture) if "{arch}" in key else key

    def _get(self, key: str, default: Any) -> Any:
        key = self._key(key)
        if key not in self._values and default is None:
            raise damaged(self.path, f"its metadata lacks {quoted(key)}")
        return self._values.get(key, default)

    def _uniform(self, key: str, values: np.ndarray[Any, Any]) -> int | float:
        if (values != values[0]).any():
            raise UnsupportedModel(
                f"{quoted(self._key(key))} in '{self.path}' differs from layer to layer",
                "take a model whose layers are alike",
            )
        first: int | float = values[0].item()
        return first

    def _wrong(self, key: str, value: Any) -> Exception:
        return damaged(self.path, f"{quoted(self._key(key))} is {quoted(value)} in its metadata")
