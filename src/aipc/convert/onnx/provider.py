"""What each execution provider of ONNX Runtime wants of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aipc.tables import read_table


@dataclass(frozen=True)
class Provider:
    """One line of onnx_providers.toml; its name is a target's.

    ``element`` is the type of activations, norms, scales and cache.  ``accuracy_level`` is
    MatMulNBits' own (4: activations rounded to 8 bits); None leaves it to the provider.
    ``config_name`` and ``options`` are what genai_config.json says of it.
    """

    name: str
    element: str
    turns_inside: bool
    """GroupQueryAttention applies the rotary embedding, and takes one joint projection."""
    accuracy_level: int | None
    config_name: str
    options: Mapping[str, str]
    source: str


def _read() -> Mapping[str, Provider]:
    entries = read_table(__package__, "onnx_providers.toml")["provider"]
    return {
        entry["name"]: Provider(
            name=entry["name"],
            element=entry["element"],
            turns_inside=entry["turns_inside"],
            accuracy_level=entry.get("accuracy_level"),
            config_name=entry["config_name"],
            options=entry["options"],
            source=entry["source"],
        )
        for entry in entries
    }


PROVIDERS = _read()
"""By the target's name."""
