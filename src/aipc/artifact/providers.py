"""ONNX Runtime's execution providers: the options GenAI gets for each, and its form of graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aipc.tables import read_table

_TABLE = read_table(__package__, "providers.toml")
SESSION_OPTIONS: Mapping[str, str] = _TABLE["session"]


@dataclass(frozen=True)
class GraphForm:
    """The form of graph that a provider needs; the fields are explained in providers.toml.

    ``accuracy_level`` is MatMulNBits' own (4: activations rounded to 8 bits); None leaves it to
    the provider.
    """

    element: str
    turns_inside: bool
    config_name: str
    options: Mapping[str, str]
    source: str
    accuracy_level: int | None = None


@dataclass(frozen=True)
class Provider:
    """One entry of providers.toml, where the fields are explained."""

    name: str
    kind: str
    device_type: str
    takes: tuple[str, ...]
    plugin: str
    number: str
    continues: bool
    piece: int
    profiled: bool
    host_memory: bool
    options: Mapping[str, str]
    source: str
    graph: GraphForm | None = None


def _provider(entry: Mapping[str, Any]) -> Provider:
    graph = GraphForm(**entry["graph"]) if "graph" in entry else None
    return Provider(**{**entry, "takes": tuple(entry["takes"]), "graph": graph})


PROVIDERS = tuple(_provider(entry) for entry in _TABLE["provider"])
GRAPH_FORMS: Mapping[str, GraphForm] = {
    provider.kind: provider.graph for provider in PROVIDERS if provider.graph is not None
}
"""By the kind of device that an artifact is made for."""


def normal_name(name: str) -> str:
    """The provider's name as the table has it, from any of the forms that GenAI takes."""
    bare = name.lower().removesuffix("executionprovider")
    return next((known.name for known in PROVIDERS if known.name.lower() == bare), name)
