"""Adapters that an artifact takes while it runs: read, checked, and put on its graph's matrices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np

from aipc.artifact.artifact import Artifact
from aipc.artifact.config import read_config
from aipc.artifact.lora import Factors
from aipc.checkpoint.adapters.adapter import LoraAdapter
from aipc.checkpoint.adapters.merged import fitted
from aipc.checkpoint.tensors import Floats, TensorInfo
from aipc.checkpoint.text_network import EMBEDDING, HEAD
from aipc.convert.families.network_reader import describe_network
from aipc.convert.feed_forward import FeedForward
from aipc.convert.network import Attention, Block, Network
from aipc.convert.parts import Matrix
from aipc.errors import ArtifactError, UsageError
from aipc.models.source import AdapterSource
from aipc.models.store import Store
from aipc.progress import Progress
from aipc.runtimes.base import MERGE_ADAPTER
from aipc.session.checkpoints import fetch_adapter

_OF_EXPERTS = re.compile(r"\.mlp\.(?:experts|router|shared_expert_gate)\.", re.ASCII)


def read_factors(
    adapters: Sequence[AdapterSource], artifact: Artifact, store: Store, progress: Progress
) -> Factors:
    """The factors of some adapters together, for an artifact.

    Raises:
        ArtifactError: an artifact whose graph has no names to put them on.
        CheckpointError: an adapter of another network.
        UsageError: one that has to be merged.
    """
    folder = artifact.path
    if "model_type" not in artifact.facts:  # a vendor's, or one that a vendor exported
        what = f"'{folder}' was not made by aipc, and takes no adapters here"
        raise ArtifactError(what, "convert its checkpoint with aipc, or " + MERGE_ADAPTER)
    config = read_config(folder)
    network = describe_network(config)
    rows = dict(_rows(network))
    tensors = {
        name: TensorInfo(name, "F32", (rows[name], matrix.columns), 0)
        for matrix in _multiplied(network)
        for name in matrix.tensors
        if name in rows
    }
    found: dict[str, list[tuple[Floats, Floats]]] = {}
    for source in adapters:
        adapter = fetch_adapter(source, store, progress)
        _check_plain(adapter, network)
        adapter = fitted(adapter, folder, config, tensors)
        for matrix in _multiplied(network):
            if part := _joint(adapter, matrix, rows, source.strength):
                found.setdefault(matrix.name, []).append(part)
    return {
        name: (np.concatenate([down for down, _ in parts]), np.hstack([up for _, up in parts]))
        for name, parts in found.items()
    }


def _check_plain(adapter: LoraAdapter, network: Network) -> None:
    """Refuse what is more than products added to the products of single nodes."""
    what = ""
    if any(one.magnitudes is not None for one in adapter.low_rank.values()):
        what = "is a DoRA"
    elif any(one.is_module for one in adapter.whole.values()):
        what = "has modules that were trained whole"
    elif adapter.shifts:
        what = "has biases"
    elif EMBEDDING in adapter.low_rank:
        what = "changes the embedding"
    elif network.mixtures and any(_OF_EXPERTS.search(name) for name in adapter.low_rank):
        what = "changes experts or what chooses them"
    if what:
        raise UsageError(
            f"'{adapter.path}' {what}, which no artifact takes while it runs", MERGE_ADAPTER
        )


def _multiplied(network: Network) -> Iterator[Matrix]:
    """The matrices whose products a graph has as one node each."""
    for block in network.blocks:
        yield from (block.mixer.projection, block.mixer.out)
        if forward := _dense(block):
            yield from (forward.gate_up, forward.down)
    yield network.head


def _dense(block: Block) -> FeedForward | None:
    """What every token goes through, beside its experts or without them."""
    one = block.feed_forward
    if isinstance(one, FeedForward):
        return one
    return None if one.shared is None else one.shared.feed_forward


def _rows(network: Network) -> Iterator[tuple[str, int]]:
    """Each tensor of a matrix, and how many of its rows are the tensor's."""
    for matrix in _multiplied(network):
        if len(matrix.tensors) == 1:
            yield matrix.tensors[0], matrix.rows
    for block in network.blocks:
        mixer, forward = block.mixer, _dense(block)
        if isinstance(mixer, Attention) and len(mixer.projection.tensors) > 1:
            keys = mixer.kv_heads * mixer.head_dim
            yield from zip(mixer.projection.tensors, (mixer.query_rows, keys, keys), strict=False)
        if forward and len(forward.gate_up.tensors) > 1:
            yield from ((name, forward.gate_up.rows // 2) for name in forward.gate_up.tensors)


def _joint(
    adapter: LoraAdapter, matrix: Matrix, rows: Mapping[str, int], strength: float
) -> tuple[Floats, Floats] | None:
    """The factors of all that an adapter changes of a matrix; None for nothing.

    Of tensors that lie one below another the downward factors do too, and the upward ones stand
    on the diagonal.
    """
    names = [HEAD] if matrix.name == "embedding" else matrix.tensors
    changes = [(name, adapter.low_rank[name]) for name in names if name in adapter.low_rank]
    if not changes:
        return None
    rank = sum(change.rank for _, change in changes)
    down = np.concatenate([change.down(0, change.rank) for _, change in changes])
    up = np.zeros((matrix.rows, rank), np.float32)
    top, left = dict(zip(names, accumulate([0, *(rows.get(n, 0) for n in names)]), strict=False)), 0
    for name, change in changes:
        height, right = change.shape[0], left + change.rank
        factor = change.up(0, height) * np.float32(change.scale * strength)
        up[top[name] : top[name] + height, left:right] = factor
        left = right
    return down, up
