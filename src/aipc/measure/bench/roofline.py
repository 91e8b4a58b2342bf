"""The roofline: what the machine allows at most, and what a network asks of it.

The machine: bytes a second from memory, operations a second in matrix products.  The network: bytes
a step, operations a prompt's token; the table of the embedding is left out, of which a step reads
one row, unless the head is the same table.  Scales and zero points count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from aipc.artifact.config import read_config
from aipc.artifact.files import ONNX_MODEL, OPENVINO_MODEL
from aipc.artifact.kv_cache import cached_numbers
from aipc.checkpoint import open_checkpoint
from aipc.devices import kind_of
from aipc.devices.system.cpu import read_cpu
from aipc.devices.system.memory import read_memory
from aipc.measure.bench.result import Limits, Needs, Rate

_BLOCK = 1 << 30  # bytes; larger than any cache
_ROUNDS = 4
_ROWS, _WIDTH = 512, 4096
_SETTINGS: tuple[Mapping[str, str], ...] = (
    {"INFERENCE_PRECISION_HINT": "f32"},
    {"INFERENCE_PRECISION_HINT": "bf16"},
    {"INFERENCE_PRECISION_HINT": "f16"},
    {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128"},
)
"""What OpenVINO's own kernels are tried with; the last multiplies 8-bit integers."""

_CACHE_BYTES = {"u4": 0.5, "u8": 1.0, "i8": 1.0, "f16": 2.0, "bf16": 2.0, "f32": 4.0}
_CACHE_DEFAULT = {"openvino": "u8", "onnx": "f32", "gguf": "f16", "checkpoint": "bf16"}
"""What each keeps keys and values in on a CPU by default."""
_UNFOLDED = {"Convert", "Subtract", "Multiply", "Reshape", "Transpose"}
"""Operations by which OpenVINO's graphs make a weight of its codes."""


@dataclass(frozen=True)
class Best:
    """Seconds that the machine's limits allow at best; None where the limit is not known."""

    step_s: float | None
    """One token for every sequence of a batch."""
    prompt_s: float | None


def measure_limits(device: str) -> Limits:
    """Of the device that OpenVINO names so; the memory rate is the processor's, and known for it.

    Takes about 3 seconds and 1 GiB of memory.
    """
    bandwidth = read_bandwidth() if kind_of(device) == "cpu" else None
    return Limits(bandwidth, matrix_rate(device))


def better(first: Limits, second: Limits) -> Limits:
    """The faster of either: what another program took is no limit of the machine's."""
    return Limits(_faster(first.bandwidth, second.bandwidth), _faster(first.matrix, second.matrix))


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


def read_bandwidth(nbytes: int = _BLOCK) -> Rate:
    """Every core reads its part of one block of float64; the fastest of several passes."""
    threads = read_cpu().usable_threads
    available = read_memory().available
    block = np.ones(min(nbytes, available // 4) // 8, np.float64)
    parts = np.array_split(block, threads)
    kernels: tuple[Callable[[Any], Any], ...] = (np.sum, np.max)
    with ThreadPoolExecutor(threads) as pool:
        best = min(
            _seconds(lambda kernel=kernel: list(pool.map(kernel, parts)))  # type: ignore[misc]
            for kernel in kernels
            for _ in range(_ROUNDS)
        )
    how = f"{threads} threads read {block.nbytes >> 20} MiB, fastest of {2 * _ROUNDS} passes"
    return Rate(block.nbytes / best, how)


def matrix_rate(device: str = "CPU") -> Rate | None:
    """The fastest that OpenVINO multiplies there; None where it has no such device."""
    import openvino

    core = openvino.Core()
    if device not in core.available_devices:
        return None
    rates = [(_product_rate(core, device, settings), settings) for settings in _SETTINGS]
    found = [(rate, settings) for rate, settings in rates if rate is not None]
    if not found:
        return None
    rate, settings = max(found, key=lambda one: one[0])
    named = ", ".join(f"{name}={value}" for name, value in settings.items())
    how = f"OpenVINO, {_ROWS}x{_WIDTH} times {_WIDTH}x{_WIDTH} in 8-bit weights, {named}"
    return Rate(rate, how)


def _product_rate(core: Any, device: str, settings: Mapping[str, str]) -> float | None:
    """Operations a second; None where the device refuses the settings."""
    supported = core.get_property(device, "SUPPORTED_PROPERTIES")
    if not set(settings) <= set(supported):
        return None
    try:
        compiled = core.compile_model(_product(), device, dict(settings))
    except RuntimeError:  # a number format that the device does not compute in
        return None
    request = compiled.create_infer_request()
    rows = np.random.default_rng(1).standard_normal((_ROWS, _WIDTH), np.float32)
    best = min(_seconds(lambda: request.infer([rows])) for _ in range(_ROUNDS))
    return 2 * _ROWS * _WIDTH**2 / best


def _product() -> Any:
    """A large product with weights in 8 bits, as an artifact has them."""
    import openvino
    from openvino import opset13 as ops

    rows = ops.parameter([_ROWS, _WIDTH], np.float32)
    codes = np.random.default_rng(1).integers(-127, 127, (_WIDTH, _WIDTH), np.int8)
    scale = ops.constant(np.full((_WIDTH, 1), 0.01, np.float16))
    weights = ops.multiply(ops.convert(ops.constant(codes), "f16"), scale)
    product = ops.matmul(rows, ops.convert(weights, "f32"), transpose_a=False, transpose_b=True)
    return openvino.Model([product], [rows])


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _faster(first: Rate | None, second: Rate | None) -> Rate | None:
    known = [rate for rate in (first, second) if rate is not None]
    return max(known, key=lambda rate: rate.per_second, default=None)


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
        tied = "lm_head.weight" not in opened.tensors
        tensors = opened.tensors.values()
        read = (one for one in tensors if tied or not one.name.endswith("embed_tokens.weight"))
        weights = sum(one.nbytes for one in read)
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
