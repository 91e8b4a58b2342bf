"""ONNX Runtime's execution providers: the options GenAI gets for each, and its form of graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aipc.tables import read_table

_TABLE = read_table(__package__, "providers.toml")
SESSION_OPTIONS: Mapping[str, str] = _TABLE["session"]
_PRECISIONS = {"f32": "fp32", "f16": "fp16"}


@dataclass(frozen=True)
class GraphForm:
    """The form of graph that a provider needs; the fields are explained in providers.toml.

    ``accuracy_level`` is MatMulNBits' own (4: activations rounded to 8 bits); None leaves it to
    the provider.  ``experts`` are attributes of QMoE; None: the provider has no such operator.
    ``whole`` is how a matrix that is not quantized is stored.
    """

    element: str
    turns_inside: bool
    config_name: str
    options: Mapping[str, str]
    source: str
    accuracy_level: int | None = None
    experts: Mapping[str, int] | None = None
    others: tuple[str, ...] = ()
    whole: str = "f16"

    @property
    def activations(self) -> tuple[str, ...]:
        """What they can be computed in, as `Device.precisions` names it; the usual first."""
        return tuple(_PRECISIONS[element] for element in (self.element, *self.others))

    def computing_in(self, activations: str) -> GraphForm:
        """The same with these activations, one of its own; "" are the usual.

        A device that lacks the usual can't read matrices of that type either.
        """
        if not activations:
            return self
        elements = {_PRECISIONS[element]: element for element in (self.element, *self.others)}
        element = elements[activations]
        return replace(self, element=element, others=(), whole=element)


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
    mixture_piece: int | None = None

    @property
    def for_mixtures(self) -> Provider:
        """The same, as it computes prompts of mixtures of experts."""
        return replace(self, piece=self.mixture_piece or self.piece)


def _provider(entry: Mapping[str, Any]) -> Provider:
    graph = _form(entry["graph"]) if "graph" in entry else None
    return Provider(**{**entry, "takes": tuple(entry["takes"]), "graph": graph})


def _form(entry: Mapping[str, Any]) -> GraphForm:
    return GraphForm(**{**entry, "others": tuple(entry.get("others", ()))})


PROVIDERS = tuple(_provider(entry) for entry in _TABLE["provider"])
GRAPH_FORMS: Mapping[str, GraphForm] = {
    provider.kind: provider.graph for provider in PROVIDERS if provider.graph is not None
}
"""By the kind of device that an artifact is made for."""


def normal_name(name: str) -> str:
    """The provider's name as the table has it, from any of the forms that GenAI takes."""
    bare = name.lower().removesuffix("executionprovider")
    return next((known.name for known in PROVIDERS if known.name.lower() == bare), name)
