"""The roofline: what a network asks of a machine, and the best that its limits allow for that.

A network asks for bytes a step and operations a prompt's token; tables of embeddings are left out,
of which a step reads one row, unless the head is the same table.  Scales and zero points count; of
a mixture's experts, as many as are active for a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from aipc.artifact.config import read_config
from aipc.artifact.files import ONNX_MODEL, OPENVINO_MODEL
from aipc.artifact.kv_cache import cached_numbers
from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.text_network import EMBEDDING, HEAD
from aipc.measure.bench.result import Needs
from aipc.runtimes.limits import Limits

_CACHE_BYTES = {"u4": 0.5, "u8": 1.0, "i8": 1.0, "f16": 2.0, "bf16": 2.0, "f32": 4.0}
_CACHE_DEFAULT = {"openvino": "u8", "onnx": "f32", "gguf": "f16", "checkpoint": "bf16"}
"""What each keeps keys and values in on a CPU by default."""
_TABLES = frozenset({EMBEDDING, "model.embed_tokens_per_layer.weight"})
"""Of which a step reads one row, unless the first is the head too."""
_UNFOLDED = {"Convert", "Subtract", "Multiply", "Reshape", "Transpose"}
"""Operations by which OpenVINO's graphs make a weight of its codes."""
_MIXTURES = {"MoE": (2, 4), "QMoE": (2, 5)}
"""ONNX Runtime's operators of experts: places of gates and ups, and of what leads back."""


@dataclass(frozen=True)
class Best:
    """Seconds that the machine's limits allow at best; None where the limit is not known."""

    step_s: float | None
    """One token for every sequence of a batch."""
    prompt_s: float | None


def best_possible(limits: Limits, needs: Needs, *, prompt: int, output: int, batch: int) -> Best:
    """What `limits` allow for an artifact.

    A step reads all weights once, and every sequence's keys and values: half of the answer's,
    on average.  A prompt multiplies every token with every weight of the blocks.
    """
    step = prompt_s = None
    if limits.bandwidth is not None:
        cached = batch * needs.cache_bytes_per_token * (prompt + output / 2)
        step = (needs.weight_bytes + cached) / limits.bandwidth.per_second
    if limits.matrix is not None and needs.operations_per_token:
        operations = batch * prompt * needs.operations_per_token
        prompt_s = operations / limits.matrix.per_second
    return Best(step, prompt_s)


def read_needs(artifact: Path, properties: Mapping[str, str]) -> Needs:
    """Of an OpenVINO or ONNX Runtime folder, a checkpoint folder or a GGUF file.

    Raises:
        CheckpointError: a checkpoint or GGUF file that can't be read.
    """
    if (artifact / OPENVINO_MODEL).exists():
        weights, operations = _openvino(artifact / OPENVINO_MODEL, read_config(artifact))
        return _needs("openvino", weights, operations, read_config(artifact), properties)
    if (artifact / ONNX_MODEL).exists():
        weights, operations = _onnx(artifact / ONNX_MODEL, read_config(artifact))
        return _needs("onnx", weights, operations, read_config(artifact), properties)
    kind = "gguf" if artifact.suffix == ".gguf" else "checkpoint"
    with open_checkpoint(artifact) as opened:
        tables = _TABLES if HEAD in opened.tensors else _TABLES - {EMBEDDING}
        tensors = opened.tensors.values()
        share = _active_share(opened.config)
        shares = {one.name: share if ".experts." in one.name else 1.0 for one in tensors}
        read = (one for one in tensors if one.name not in tables)
        weights = round(sum(shares[one.name] * one.nbytes for one in read))
        in_layers = (one for one in tensors if ".layers." in one.name and len(one.shape) == 2)
        computed = (shares[one.name] * _operations([one.shape]) for one in in_layers)
        return _needs(kind, weights, round(sum(computed)), opened.config, properties)


def _needs(
    kind: str,
    weights: int,
    operations: int,
    config: Mapping[str, Any],
    properties: Mapping[str, str],
) -> Needs:
    precision = properties.get("KV_CACHE_PRECISION", _CACHE_DEFAULT[kind])
    values = cached_numbers(config)
    return Needs(weights, round(values * _CACHE_BYTES.get(precision, 2.0)), operations)


def _operations(shapes: Iterable[tuple[int, ...]]) -> int:
    return 2 * sum(prod(shape) for shape in shapes)


def _active_share(config: Mapping[str, Any]) -> float:
    """Of a mixture's experts; 1 where there are none."""
    experts = config.get("num_experts") or config.get("num_local_experts")
    active = config.get("num_experts_per_tok")
    return active / experts if experts and active else 1.0


def _openvino(path: Path, config: Mapping[str, Any]) -> tuple[int, int]:
    """(bytes, operations), from the graph."""
    import openvino

    model = openvino.Core().read_model(path)
    vocabulary = model.output("logits").get_partial_shape()[2]
    fixed: set[str] = set()
    read: dict[str, float] = {}
    matrices = []
    for node in model.get_ordered_ops():
        kind, name = node.get_type_name(), node.get_friendly_name()
        sources = [one.get_source_output().get_node() for one in node.inputs()]
        own = [source for source in sources if source.get_friendly_name() in fixed]
        if kind == "Constant" or (kind in _UNFOLDED and len(own) == len(sources)):
            fixed.add(name)
        if kind == "Constant" and not _is_table(node):
            read[name] = node.get_byte_size()
        if kind == "MatMul":
            matrices += own
    shapes = [tuple(one.get_output_shape(0)) for one in matrices]
    share, blocks = _active_share(config), 0.0
    for matrix, shape in zip(matrices, shapes, strict=True):
        is_of_experts = len(shape) == 3
        if vocabulary.to_string() not in map(str, shape):
            blocks += _operations([shape]) * (share if is_of_experts else 1.0)
        for name in _constants(matrix) if is_of_experts else ():
            read[name] *= share
    return round(sum(read.values())), round(blocks)


def _constants(matrix: Any) -> set[str]:
    """Names of those that it is made of."""
    if matrix.get_type_name() == "Constant":
        return {matrix.get_friendly_name()}
    sources = (one.get_source_output().get_node() for one in matrix.inputs())
    return set().union(*map(_constants, sources))


def _is_table(constant: Any) -> bool:
    """Whether rows are gathered from it, and nothing else is done with it."""
    readers, ends = [constant], set()
    while readers:
        inputs = [one for output in readers.pop().outputs() for one in output.get_target_inputs()]
        for reader in (one.get_node() for one in inputs):
            if reader.get_type_name() in _UNFOLDED:
                readers.append(reader)
            else:
                ends.add(reader.get_type_name())
        if ends - {"Gather"}:
            return False
    return constant.get_byte_size() > 0 and ends == {"Gather"}


def _onnx(path: Path, config: Mapping[str, Any]) -> tuple[int, int]:
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    readers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    tables = {"Gather", "GatherBlockQuantized"}
    read = [one for one in graph.initializer if not readers.get(one.name, set()) <= tables]
    packed = (node for node in graph.node if node.op_type == "MatMulNBits")
    sizes = [{one.name: one.i for one in node.attribute} for node in packed]
    shapes = [(one["K"], one["N"]) for one in sizes]
    made_of = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type in {"Cast", "Transpose"}
    }
    inputs = {
        _origin(name, made_of)
        for node in graph.node
        if node.op_type == "MatMul"
        for name in node.input
    }
    shapes += [tuple(one.dims) for one in graph.initializer if one.name in inputs]
    blocks = [shape for shape in shapes if config.get("vocab_size") not in shape]
    shares, of_experts = _mixtures(graph, made_of)
    blocks += of_experts
    nbytes = 0.0
    for one in read:
        outside = {entry.key: entry.value for entry in one.external_data}
        stored = int(outside.get("length", len(one.raw_data)))
        # ONNX Runtime widens halves as it loads, and reads float32 from then on
        stored = 2 * stored if readers[one.name] == {"Cast"} else stored
        nbytes += shares.get(one.name, 1) * stored
    return round(nbytes), _operations(blocks)


def _mixtures(
    graph: Any, made_of: Mapping[str, str]
) -> tuple[dict[str, float], list[tuple[int, int]]]:
    """The share of each tensor of experts that a token reads, and the shapes of its matrices."""
    kept = {one.name: tuple(one.dims) for one in graph.initializer}
    shares: dict[str, float] = {}
    shapes: list[tuple[int, int]] = []
    for node in graph.node:
        if node.op_type in _MIXTURES:
            active = next(one.i for one in node.attribute if one.name == "k")
            tensors = [_origin(name, made_of) for name in node.input]
            shares |= {name: active / kept[name][0] for name in tensors if name in kept}
            both, hidden = (kept[tensors[place]][1] for place in _MIXTURES[node.op_type])
            shapes += active * [(both, hidden), (hidden, both // 2)]
    return shares, shapes


def _origin(name: str, made_of: Mapping[str, str]) -> str:
    """The tensor that this one is cast or transposed from."""
    while name in made_of:
        name = made_of[name]
    return name
