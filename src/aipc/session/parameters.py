"""How many parameters a model has, found as cheaply as can be: its default recipe depends on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aipc.errors import UnsupportedModel
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import Source
from aipc.models.store import Store
from aipc.progress import Progress
from aipc.session.checkpoints import open_source

if TYPE_CHECKING:
    from aipc.checkpoint import Checkpoint


def count_parameters(
    source: Source, store: Store, progress: Progress, announce: Callable[[], object] = lambda: None
) -> int:
    """From the catalogue, from an artifact made of it, or from the checkpoint's own headers.

    ``announce`` is called before a checkpoint that the store lacks is fetched.

    Raises:
        AipcError: as `open_source`.
    """
    known = next(_known(source, store), None)
    if known is not None:
        return known
    announce()
    with open_source(source, store, progress) as checkpoint:
        return checkpoint_parameters(checkpoint)


def checkpoint_parameters(checkpoint: Checkpoint) -> int:
    """The network's, as its artifact states them; all stored ones where it has no graph here.

    A checkpoint may store what its network does not use, such as a head that is its embedding too.

    Raises:
        CheckpointError: as `read_network`.
    """
    from aipc.convert.encoders.kinds import is_encoder
    from aipc.convert.encoders.reader import read_encoder
    from aipc.convert.families.network_reader import read_network

    try:
        if is_encoder(checkpoint.config):
            return read_encoder(checkpoint).parameters
        return read_network(checkpoint).parameters
    except UnsupportedModel:
        return sum(math.prod(tensor.shape) for tensor in checkpoint.tensors.values())


def _known(source: Source, store: Store) -> Iterator[int]:
    model = CATALOGUE.find(source)
    if model is not None:
        yield model.parameters
    for artifact in store.artifacts_of(source):
        if isinstance(artifact.facts.get("parameters"), int):
            yield artifact.facts["parameters"]
