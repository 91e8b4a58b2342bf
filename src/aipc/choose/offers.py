"""The catalogue's models as a machine would run them: in which precision, in how much memory.

The precision is that of `aipc run` without flags.  Memory is foretold from the sizes in the
catalogue, before anything is fetched; what a conversion forecasts and what was measured go before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aipc.artifact.kv_cache import cached_numbers
from aipc.convert.encoders.kinds import ENCODERS
from aipc.convert.families.network_reader import describe_network
from aipc.convert.families.table import FAMILIES
from aipc.convert.forecast import INTERPRETER_BYTES, RESIDENT_OVERHEAD
from aipc.convert.layout import lay_out
from aipc.convert.openvino.weights import OpenVINOPacking
from aipc.convert.recipe import Recipe, assign
from aipc.convert.targets import TARGETS
from aipc.devices import Device
from aipc.devices.system.memory import SHARE_FOR_MODELS
from aipc.models.catalogue import CATALOGUE, KINDS, Model
from aipc.runtimes.kv_budget import BYTES_PER_NUMBER

CONTEXT = 8192
"""Tokens of conversation that memory is foretold for, of models that read so many."""
_OWN_MEMORY = frozenset({"cuda"})
"""Kinds of devices with memory of their own; a GPU of OpenVINO's says so in its facts."""
_GPUS = frozenset({"gpu", "cuda", "directml", "webgpu"})
_FEW_CORES = 2
_FLUENT = {"few": 1_100_000_000, "cpu": 4_500_000_000}
"""Most weights for a token of a conversation on few cores, and on any CPU: docs/models.md."""


@dataclass(frozen=True)
class Room:
    """What a machine has for models: ``memory`` in bytes, of a GPU that has its own, or None."""

    memory: int
    gpu_memory: int | None = None
    has_gpu: bool = False
    cores: int | None = None

    @classmethod
    def of(cls, devices: Iterable[Device], memory: int, cores: int | None) -> Room:
        """``memory`` is the machine's, whole; ``cores`` are physical ones."""
        gpus = [one for one in devices if one.kind in _GPUS and not one.is_software]
        own = [one.memory_bytes for one in gpus if _has_own(one) and one.memory_bytes]
        return cls(
            int(SHARE_FOR_MODELS * memory),
            max(own, default=None),
            bool(gpus),
            cores,
        )

    def holds(self, offer: Offer) -> bool:
        return offer.memory <= self.largest

    @property
    def largest(self) -> int:
        """Bytes that a model may take where there is most room."""
        return max(self.memory, self.gpu_memory or 0)

    @property
    def fluent(self) -> float:
        """Most weights that a token may be multiplied with."""
        if self.has_gpu:
            return float("inf")
        return _FLUENT["few" if self.cores is not None and self.cores <= _FEW_CORES else "cpu"]


@dataclass(frozen=True)
class Offer:
    """``memory`` in bytes is the whole process's, with ``context`` tokens of conversation."""

    model: Model
    recipe: Recipe
    nbytes: int
    """Of the artifact's weights."""
    memory: int
    context: int
    token_weights: int
    """How many a token is multiplied with: of a mixture's experts those that are active."""


def offers(models: Iterable[Model] = tuple(CATALOGUE.values())) -> tuple[Offer, ...]:
    """Those of ``models`` that this version converts, those to talk to first, then by size."""
    known = (model for model in models if model.config["model_type"] in {*FAMILIES, *ENCODERS})
    return tuple(sorted(map(_offer, known), key=_order))


def _order(offer: Offer) -> tuple[int, int, str]:
    model = offer.model
    return KINDS.index(model.kind), model.parameters, model.name


def recommended(offered: Sequence[Offer], room: Room) -> Offer | None:
    """The largest that is recommended, fits, and answers fluently; None: none does."""
    able = [
        one
        for one in offered
        if one.model.recommended and room.holds(one) and one.token_weights <= room.fluent
    ]
    return max(able, key=lambda one: one.model.parameters, default=None)


def _offer(model: Model) -> Offer:
    if model.config["model_type"] in ENCODERS:
        return _offer_encoder(model)
    network = describe_network(model.config)
    recipe = TARGETS["cpu"].sized(model.parameters).recipe
    nbytes = lay_out(network, assign(network, recipe), OpenVINOPacking()).nbytes
    context = min(CONTEXT, model.context)
    cache = cached_numbers(model.config) * BYTES_PER_NUMBER * context
    memory = INTERPRETER_BYTES + int(RESIDENT_OVERHEAD * nbytes) + cache
    read = sum(matrix.token_weights for matrix in network.matrices())
    return Offer(model, recipe, nbytes, memory, context, read)


def _offer_encoder(model: Model) -> Offer:
    """Of a network that keeps nothing of a text but its vector, a byte a weight."""
    recipe, nbytes = TARGETS["cpu"].sized(model.parameters).recipe, model.parameters
    memory = INTERPRETER_BYTES + int(RESIDENT_OVERHEAD * nbytes)
    return Offer(model, recipe, nbytes, memory, model.context, model.parameters)


def _has_own(device: Device) -> bool:
    return device.kind in _OWN_MEMORY or device.facts.get("type") == "discrete"
