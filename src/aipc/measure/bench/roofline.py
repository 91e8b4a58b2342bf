"""The roofline: what a network asks of a machine, and the best that its limits allow for that.

A network asks for bytes a step and operations a prompt's token; tables of embeddings are left out,
of which a step reads one row, unless the head is the same table.  Scales and zero points count.
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
        weights, operations = _openvino(artifact / OPENVINO_MODEL)
        return _needs("openvino", weights, operations, read_config(artifact), properties)
    if (artifact / ONNX_MODEL).exists():
        weights, operations = _onnx(artifact / ONNX_MODEL, read_config(artifact))
        return _needs("onnx", weights, operations, read_config(artifact), properties)
    kind = "gguf" if artifact.suffix == ".gguf" else "checkpoint"
    with open_checkpoint(artifact) as opened:
        tables = _TABLES if HEAD in opened.tensors else _TABLES - {EMBEDDING}
        tensors = opened.tensors.values()
        weights = sum(one.nbytes for one in tensors if one.name not in tables)
        matrices = [one.shape for one in tensors if ".layers." in one.name]
        operations = _operations(shape for shape in matrices if len(shape) == 2)
        return _needs(kind, weights, operations, opened.config, properties)


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


def _openvino(path: Path) -> tuple[int, int]:
    """(bytes, operations), from the graph."""
    import openvino

    model = openvino.Core().read_model(path)
    vocabulary = model.output("logits").get_partial_shape()[2]
    fixed: set[str] = set()
    weights, matrices = 0, []
    for node in model.get_ordered_ops():
        kind, name = node.get_type_name(), node.get_friendly_name()
        sources = [one.get_source_output().get_node() for one in node.inputs()]
        own = [source for source in sources if source.get_friendly_name() in fixed]
        if kind == "Constant" or (kind in _UNFOLDED and len(own) == len(sources)):
            fixed.add(name)
        if kind == "Constant" and not _is_table(node):
            weights += node.get_byte_size()
        if kind == "MatMul":
            matrices += [tuple(source.get_output_shape(0)) for source in own]
    blocks = [shape for shape in matrices if vocabulary.to_string() not in map(str, shape)]
    return weights, _operations(blocks)


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
    widened = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    inputs = {
        widened.get(name, name)
        for node in graph.node
        if node.op_type == "MatMul"
        for name in node.input
    }
    shapes += [tuple(one.dims) for one in graph.initializer if one.name in inputs]
    blocks = [shape for shape in shapes if config.get("vocab_size") not in shape]
    nbytes = 0
    for one in read:
        outside = {entry.key: entry.value for entry in one.external_data}
        nbytes += int(outside.get("length", len(one.raw_data)))
    return nbytes, _operations(blocks)
