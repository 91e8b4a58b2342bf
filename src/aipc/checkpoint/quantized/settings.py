"""What a checkpoint says about how its weights were quantized."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc.artifact.files import CONFIG
from aipc.errors import CheckpointError, UnsupportedModel, damaged, quoted
from aipc.records import read_object

QUANTIZATION_KEYS = ("quantization_config", "compression_config")
"""The keys of config.json that say it."""
_OWN_FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
"""Where older tools wrote it beside config.json, and the method that they are of."""
_OLD_NAMES = {"w_bit": "bits", "q_group_size": "group_size"}
ANOTHER = "take the model's 16-bit original or a GGUF file of it"


@dataclass(frozen=True)
class QuantizationSettings:
    """The values, as some tool wrote them; every reading of one checks it."""

    path: Path
    """The file that states them."""
    method: str
    values: Mapping[str, Any]

    def number(self, key: str, default: int, choices: Sequence[int] = ()) -> int:
        """A whole number, one of ``choices`` where there are any.

        Raises:
            UnsupportedModel: another value.
        """
        value = self.values.get(key)
        value = default if value is None else value
        if type(value) is not int or (choices and value not in choices):
            read = f"only {', '.join(map(str, choices))} can be read here; " if choices else ""
            raise self.unsupported(f"{key} = {quoted(value)}", read)
        return value

    def text(self, keys: Sequence[str], default: str) -> str:
        """The first of ``keys`` that is there, in lower case."""
        stated = (self.values[key] for key in keys if self.values.get(key) is not None)
        return str(next(stated, default)).lower()

    def block(self, key: str) -> tuple[int, int] | None:
        """Rows and columns that share a scale; None where it is missing or null.

        Raises:
            CheckpointError: no pair of sizes.
        """
        value = self.values.get(key)
        if value is None:
            return None
        sizes = value if isinstance(value, list) else []
        if len(sizes) != 2 or not all(type(size) is int and 0 < size < 2**20 for size in sizes):
            raise damaged(self.path, f"its {key} is no pair of sizes")
        return sizes[0], sizes[1]

    def table(self, key: str) -> Mapping[str, Any]:
        """An object; empty where it is missing or null.

        Raises:
            CheckpointError: anything else.
        """
        value = self.values.get(key) or {}
        if not isinstance(value, dict):
            raise damaged(self.path, f"its {key} is no object")
        return value

    def names(self, key: str) -> list[str]:
        """A list of texts; empty where it is missing or null.

        Raises:
            CheckpointError: anything else.
        """
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise damaged(self.path, f"its {key} is no list of names")
        return value

    def within(self, key: str, value: Any) -> QuantizationSettings:
        """The settings that are the object ``value`` under ``key``.

        Raises:
            CheckpointError: it is none.
        """
        if not isinstance(value, dict):
            raise damaged(self.path, f"its {key} is no object")
        return QuantizationSettings(self.path, self.method, value)

    def matches(self, pattern: str, name: str) -> bool:
        """Whether a name begins as a regular expression of the file says.

        Raises:
            CheckpointError: it is no regular expression.
        """
        try:
            return re.match(pattern, name) is not None
        except re.error as error:
            why = f"{quoted(pattern)} is no regular expression"
            raise damaged(self.path, why) from error

    def unsupported(self, what: str, but: str = "") -> UnsupportedModel:
        return UnsupportedModel(
            f"'{self.path}' has {self.method} weights with {what}", but + ANOTHER
        )

    def contradicted(self, name: str, why: str) -> CheckpointError:
        """An error for stored tensors that are not what the settings say."""
        return CheckpointError(
            f"'{self.path}' and the {self.method} weights of {quoted(name)} contradict each other: "
            f"{why}",
            ANOTHER,
        )


def read_settings(folder: Path, config: Mapping[str, Any]) -> QuantizationSettings | None:
    """The settings in config.json or beside it; None where neither says anything.

    Raises:
        CheckpointError: what is there can't be read.
    """
    inner = config.get("text_config")
    for part in (config, inner if isinstance(inner, dict) else {}):
        for key in QUANTIZATION_KEYS:
            if part.get(key) is not None:
                values = (
                    QuantizationSettings(folder / CONFIG, key, {}).within(key, part[key]).values
                )
                return QuantizationSettings(folder / CONFIG, _method(values), values)
    for name, method in _OWN_FILES.items():
        if (folder / name).is_file():
            values = read_object(folder / name)
            renamed = {_OLD_NAMES.get(key, key): value for key, value in values.items()}
            return QuantizationSettings(
                folder / name, str(renamed.get("quant_method") or method), renamed
            )
    return None


def _method(values: Mapping[str, Any]) -> str:
    if values.get("load_in_4bit") or values.get("load_in_8bit"):  # older bitsandbytes named none
        return "bitsandbytes"
    return str(
        values.get("quant_method")
        or ("compressed-tensors" if "config_groups" in values else "unknown")
    )
