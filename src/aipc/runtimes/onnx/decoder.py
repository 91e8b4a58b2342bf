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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.onnx_file import References
from aipc.runtimes.onnx.adapters import WEIGHTS_FOLDER, GraphAdapters
from aipc.runtimes.onnx.provider import written

Logits = npt.NDArray[Any]
"""[rows, tokens, vocabulary], float32 or float16."""

ATTENTION = "GroupQueryAttention"
_OTHER_ATTENTION = frozenset({"Attention", "MultiHeadAttention", "SparseAttention"})
_ELEMENTS = {1: np.float32, 10: np.float16}
_IDS: Mapping[int, Any] = {6: np.int32, 7: np.int64}
"""TensorProto.DataType to numpy's."""
_MASK_STEP = 32
_STEP = 16
"""Most tokens of a call that is likely to come again."""
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
        and not _slides(decoder.get("sliding_window"))
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


def _slides(window: Mapping[str, Any] | None) -> bool:
    """Whether the cache itself is to hold no more than a window, as GenAI reads it."""
    return window is not None and bool(window.get("slide_key_value_cache", True))


def _numbered(pattern: Any, layer: int) -> str:
    return str(pattern).replace("%d", str(layer))


@dataclass
class _Call:
    binding: Any
    """The session's ``IOBinding``."""
    ids: npt.NDArray[Any]
    positions: npt.NDArray[Any]
    """[rows, tokens]"""
    mask: npt.NDArray[Any]
    """[rows, tokens of the longest]"""
    logits: Logits
    adapters: tuple[str, ...] = ()
    """Of its rows."""
    factors: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Those of the adapters, which have to outlive it."""


class CacheRows:
    """Keys and values of several sequences, each a row with room for ``capacity`` tokens."""

    def __init__(self, graph: DecoderGraph, rows: int = 0, capacity: int = 0) -> None:
        self.rows, self.capacity = rows, capacity
        self.calls: dict[tuple[int, int, int], _Call] = {}
        """(first row, rows, tokens of each) to what `Decoder` binds to compute them."""
        self.logits: Logits | None = None
        """Room for the scores of calls that are kept; all share it, as they last until the next."""
        self._graph = graph
        self._arrays = [self._zeros() for _ in graph.cache]

    def resize(self, rows: int, capacity: int, lengths: Sequence[int]) -> None:
        """Take other memory; of row n the first ``lengths[n]`` tokens are kept."""
        self.rows, self.capacity = rows, capacity
        self.calls.clear()
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
        self,
        file: Path,
        graph: DecoderGraph,
        vocabulary: int,
        options: Mapping[str, Any],
        switch: int | None,
        adapters: GraphAdapters | None = None,
    ) -> None:
        """``options`` as genai_config.json's session_options have them; see `rope_switch`."""
        import onnxruntime

        # The graph takes the mask's width for the longest sequence when it chooses the table.
        self._mask_step = _MASK_STEP if switch is None else 1
        self.graph = graph
        self._vocabulary = vocabulary
        self._adapters = adapters
        model: str | bytes = str(file)
        if adapters is not None:
            model, options = adapters.model, {**options, WEIGHTS_FOLDER: str(file.parent)}
        self._session = onnxruntime.InferenceSession(
            model, make_options(options), providers=["CPUExecutionProvider"]
        )
        types = {output.name: output.type for output in self._session.get_outputs()}
        self._element = np.float16 if types[graph.logits] == "tensor(float16)" else np.float32

    def compute(
        self,
        cache: CacheRows,
        first: int,
        tokens: Sequence[Sequence[int]],
        lengths: Sequence[int],
        adapters: Sequence[str] = (),
    ) -> Logits:
        """Scores of what follows each of ``tokens`` [rows, tokens], until the next call.

        Row n continues row ``first`` + n of ``cache``, which holds ``lengths[n]`` tokens.
        Several tokens a row only where there is one row.  ``adapters`` are the rows' own, "" for
        none; left out where no row has one.
        """
        call = self._call(cache, first, len(tokens), len(tokens[0]))
        held = np.array(lengths)[:, None]
        total = held + call.ids.shape[1]
        self._set_mask(call, total, cache.capacity)
        call.ids[:] = tokens
        if self.graph.positions:
            np.add(held, np.arange(call.ids.shape[1]), out=call.positions, casting="unsafe")
        if self._adapters is not None:
            self._set_adapters(call, self._adapters, tuple(adapters) or ("",) * len(tokens))
        self._session.run_with_iobinding(call.binding)
        return call.logits

    def _set_mask(self, call: _Call, total: npt.NDArray[Any], capacity: int) -> None:
        """Ones for each row's tokens: wider than the longest, so as not to be bound each time."""
        longest = int(total.max())
        if not longest <= call.mask.shape[1] < longest + 2 * self._mask_step:
            width = min(-(-longest // self._mask_step) * self._mask_step, capacity)
            call.mask = np.zeros((len(total), width), self.graph.integer)
            _bind_input(call.binding, self.graph.mask, call.mask)
        np.less(np.arange(call.mask.shape[1]), total, out=call.mask, casting="unsafe")

    @staticmethod
    def _set_adapters(call: _Call, adapters: GraphAdapters, chosen: tuple[str, ...]) -> None:
        if chosen == call.adapters:
            return
        call.adapters, call.factors = chosen, adapters.inputs(chosen)
        for name, array in call.factors.items():
            _bind_input(call.binding, name, array)

    def _call(self, cache: CacheRows, first: int, count: int, width: int) -> _Call:
        """Kept where it is a step's: to bind every layer's cache takes as long as a layer."""
        key = (first, count, width)
        call = cache.calls.get(key)
        if call is None:
            call = self._bound(cache, *key)
            if count * width <= _STEP:
                cache.calls[key] = call
        return call

    def _bound(self, cache: CacheRows, first: int, count: int, width: int) -> _Call:
        binding = self._session.io_binding()
        cache.bind(binding, first, count)
        shape = (count, width)
        call = _Call(
            binding,
            ids=np.zeros(shape, self.graph.integer),
            positions=np.zeros(shape, self.graph.integer),
            mask=np.zeros((count, 0), self.graph.integer),
            logits=self._room(cache, shape),
        )
        _bind_input(binding, self.graph.ids, call.ids)
        if self.graph.positions:
            _bind_input(binding, self.graph.positions, call.positions)
        place = ("cpu", 0, self._element, call.logits.shape, call.logits.ctypes.data)
        binding.bind_output(self.graph.logits, *place)
        return call

    def _room(self, cache: CacheRows, shape: tuple[int, int]) -> Logits:
        """For scores [rows, tokens, vocabulary]."""
        places = shape[0] * shape[1]
        if places > _STEP:
            return np.empty((*shape, self._vocabulary), self._element)
        if cache.logits is None:
            cache.logits = np.empty((_STEP, self._vocabulary), self._element)
        return cache.logits[:places].reshape(*shape, self._vocabulary)


def _bind_input(binding: Any, name: str, array: npt.NDArray[Any]) -> None:
    """The array has to outlive the call."""
    binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


def make_options(options: Mapping[str, Any]) -> Any:
    """ONNX Runtime's SessionOptions of those that genai_config.json would have."""
    import onnxruntime

    made = onnxruntime.SessionOptions()
    for name, value in options.items():
        if name == "graph_optimization_level":
            made.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, value)
        elif name in _FIELDS:
            setattr(made, name, value)
        else:
            made.add_session_config_entry(name, written(value))
    return made
