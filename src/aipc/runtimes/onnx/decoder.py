"""A decoder's graph in an ONNX Runtime session of the CPU, and the key-value cache beside it.

GenAI keeps one cache a `Generator`, whose sequences begin and end together, and so does its
`Engine` with every graph that the CPU can run: there new requests wait until the last of a batch
has ended (onnxruntime-genai 0.18; it batches continuously with PagedAttention alone, which ONNX
Runtime 1.31 has for CUDA only).  GroupQueryAttention itself takes another length for each row, and
writes into a cache that lies still: with the rows in our own memory, sequences join and leave at
any step, and the beginning of one is copied to another.  `run_with_iobinding` lets other threads
have the interpreter, which GenAI's binding does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.runtimes.onnx.file import References

Logits = npt.NDArray[Any]
"""[rows, tokens, vocabulary], float32 or float16."""

ATTENTION = "GroupQueryAttention"
_OTHER_ATTENTION = frozenset({"Attention", "MultiHeadAttention", "SparseAttention"})
_ELEMENTS = {1: np.float32, 10: np.float16}
_IDS: Mapping[int, Any] = {6: np.int32, 7: np.int64}
"""TensorProto.DataType to numpy's."""
_FIELDS = frozenset(
    {
        *("intra_op_num_threads", "inter_op_num_threads", "log_severity_level"),
        *("enable_cpu_mem_arena", "enable_mem_pattern"),
    }
)
"""Of ONNX Runtime's ``SessionOptions``; it takes all others as entries of its configuration."""


@dataclass(frozen=True)
class DecoderGraph:
    """Names and types of a graph whose rows can each be at another place of their sequence."""

    ids: str
    mask: str
    positions: str
    """Empty where the graph counts them itself."""
    logits: str
    cache: tuple[tuple[str, str], ...]
    """(input, output) of every key and every value."""
    heads: int
    head_size: int
    element: Any
    integer: Any
    """numpy's types of the cache, and of ids, mask and positions."""


def read_graph(decoder: Mapping[str, Any], references: References) -> DecoderGraph | None:
    """What genai_config.json's ``decoder`` and the file say; None for a graph of another kind."""
    inputs, outputs = decoder.get("inputs") or {}, decoder.get("outputs") or {}
    ids = str(inputs.get("input_ids", "input_ids"))
    mask = str(inputs.get("attention_mask", "attention_mask"))
    positions = str(inputs.get("position_ids", "position_ids"))
    cache = tuple(
        (
            _numbered(inputs.get(f"past_{kind}_names", f"past_key_values.%d.{kind}"), layer),
            _numbered(outputs.get(f"present_{kind}_names", f"present.%d.{kind}"), layer),
        )
        for layer in range(int(decoder["num_hidden_layers"]))
        for kind in ("key", "value")
    )
    types = references.input_types
    elements = {types.get(past) for past, _ in cache}
    integers = {types.get(name) for name in (ids, mask)}
    is_known = (
        ATTENTION in references.operators
        and not _OTHER_ATTENTION & references.operators
        and "sliding_window" not in decoder
        and types.keys() - {positions} == {ids, mask} | {past for past, _ in cache}
        and len(elements) == len(integers) == 1
        and elements <= _ELEMENTS.keys()
        and integers <= _IDS.keys()
    )
    if not is_known:
        return None
    return DecoderGraph(
        ids=ids,
        mask=mask,
        positions=positions if positions in types else "",
        logits=str(outputs.get("logits", "logits")),
        cache=cache,
        heads=int(decoder["num_key_value_heads"]),
        head_size=int(decoder["head_size"]),
        element=_ELEMENTS[types[cache[0][0]]],
        integer=_IDS[types[ids]],
    )


def _numbered(pattern: Any, layer: int) -> str:
    return str(pattern).replace("%d", str(layer))


class CacheRows:
    """Keys and values of several sequences, each a row with room for ``capacity`` tokens."""

    def __init__(self, graph: DecoderGraph, rows: int = 0, capacity: int = 0) -> None:
        self.rows, self.capacity = rows, capacity
        self.bindings: dict[tuple[int, int], Any] = {}
        """(first row, rows) to the session's ``IOBinding`` of them; for `Decoder`."""
        self.scores: npt.NDArray[Any] = np.empty(0, np.float32)
        """Memory for what was computed last; for `Decoder`."""
        self._graph = graph
        self._arrays = [self._zeros() for _ in graph.cache]

    def resize(self, rows: int, capacity: int, lengths: Sequence[int]) -> None:
        """Take other memory; of row n the first ``lengths[n]`` tokens are kept."""
        self.rows, self.capacity = rows, capacity
        self.bindings.clear()
        for at, old in enumerate(self._arrays):  # one by one: no second cache beside the first
            self._arrays[at] = self._zeros()
            for row, length in enumerate(lengths):
                self._arrays[at][row, :, :length] = old[row, :, :length]

    def copy(self, source: int, target: int, length: int) -> None:
        """Give row ``target`` the first ``length`` tokens of row ``source``."""
        for array in self._arrays:
            array[target, :, :length] = array[source, :, :length]

    def swap(self, first: int, second: int, length: int) -> None:
        """Exchange the first ``length`` tokens of two rows."""
        for array in self._arrays:
            kept = array[first, :, :length].copy()
            array[first, :, :length] = array[second, :, :length]
            array[second, :, :length] = kept

    def bind(self, binding: Any, first: int, count: int) -> None:
        """Have an ``IOBinding`` read and write these rows where they are."""
        for (past, present), array in zip(self._graph.cache, self._arrays, strict=True):
            part = array[first : first + count]
            place = ("cpu", 0, self._graph.element, part.shape, part.ctypes.data)
            binding.bind_input(past, *place)
            binding.bind_output(present, *place)

    def _zeros(self) -> npt.NDArray[Any]:
        """Memory that the system hands out when it is written to, and finite numbers in it."""
        shape = (self.rows, self._graph.heads, self.capacity, self._graph.head_size)
        return np.zeros(shape, self._graph.element)


class Decoder:
    """Computes tokens after those in the rows of a cache."""

    def __init__(
        self, file: Path, graph: DecoderGraph, vocabulary: int, options: Mapping[str, Any]
    ) -> None:
        """``options`` as genai_config.json's session_options have them."""
        import onnxruntime

        self.graph = graph
        self._vocabulary = vocabulary
        self._session = onnxruntime.InferenceSession(
            str(file), _session_options(options), providers=["CPUExecutionProvider"]
        )
        types = {output.name: output.type for output in self._session.get_outputs()}
        self._element = np.float16 if types[graph.logits] == "tensor(float16)" else np.float32

    def compute(
        self, cache: CacheRows, first: int, tokens: Sequence[Sequence[int]], lengths: Sequence[int]
    ) -> Logits:
        """Scores of what follows each of ``tokens`` [rows, tokens], in memory of the next call.

        Row n continues row ``first`` + n of ``cache``, which holds ``lengths[n]`` tokens.
        Several tokens a row only where there is one row.
        """
        count, width = len(tokens), len(tokens[0])
        binding = self._binding(cache, first, count)
        ids = np.array(tokens, self.graph.integer)
        held = np.array(lengths)[:, None]
        total = held + width
        mask = (np.arange(total.max()) < total).astype(self.graph.integer)
        inputs = {self.graph.ids: ids, self.graph.mask: mask}
        if self.graph.positions:
            inputs[self.graph.positions] = (held + np.arange(width)).astype(self.graph.integer)
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        logits = self._logits(cache, count, width)
        binding.bind_output(
            self.graph.logits, "cpu", 0, self._element, logits.shape, logits.ctypes.data
        )
        self._session.run_with_iobinding(binding)
        return logits

    def _binding(self, cache: CacheRows, first: int, count: int) -> Any:
        """Kept: binding every layer's cache takes a tenth of a small model's token."""
        binding = cache.bindings.get((first, count))
        if binding is None:
            binding = cache.bindings[first, count] = self._session.io_binding()
            cache.bind(binding, first, count)
        return binding

    def _logits(self, cache: CacheRows, count: int, width: int) -> Logits:
        size = count * width * self._vocabulary
        if cache.scores.size < size or cache.scores.dtype != self._element:
            cache.scores = np.empty(size, self._element)
        return cache.scores[:size].reshape(count, width, self._vocabulary)


def _session_options(options: Mapping[str, Any]) -> Any:
    import onnxruntime

    made = onnxruntime.SessionOptions()
    for name, value in options.items():
        if name == "graph_optimization_level":
            made.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, value)
        elif name in _FIELDS:
            setattr(made, name, value)
        else:
            made.add_session_config_entry(name, str(int(value)) if isinstance(value, bool) else str(value))
    return made
