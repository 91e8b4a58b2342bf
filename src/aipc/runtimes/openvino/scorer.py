"""The scores of an OpenVINO model, on the CPU and the GPU: of a text, and to choose tokens by.

The graph itself is run, not GenAI's pipeline, which gives none: the same weights, numerics and
kernels but for attention, which the pipeline computes on a paged cache.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.files import OPENVINO_MODEL, OPENVINO_WEIGHTS
from aipc.artifact.rope_switch import read_rope_switch
from aipc.devices import resolve_device
from aipc.errors import EngineError, UsageError
from aipc.runtimes.base import Decoding, Generation
from aipc.runtimes.openvino.repack import read_once
from aipc.runtimes.sampler import JudgedTokens, Sampler, Scores
from aipc.runtimes.vendor_errors import translated

EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
"""Properties under which a CPU computes in float32 throughout: only stored weights differ then."""
PIECE = 64
"""Tokens computed at once: their scores take 50 MB where a vocabulary has 200,000 entries."""
_CHOSEN_HERE = ("presence_penalty", "frequency_penalty", "logit_bias")
_CORES_OWN = frozenset({"CACHE_DIR", "CACHE_MODE", "ENABLE_MMAP"})


def is_scored(decoding: Decoding, *, tells: bool = True) -> bool:
    """Whether tokens are to be chosen here, by the graph's scores, and not by GenAI's pipelines.

    ``tells``: whether the pipeline tells the chosen token's probability.  Those know no bias, and
    tell of no alternatives.  Where a token's score is negative, they *add* a presence or a
    frequency penalty.  Measured with 2026.4.1: in a story at a frequency_penalty of 2 the 126th
    token is one with a score below 0, chosen because the answer has it often.

    Raises:
        UsageError: a constraint besides what they have not; they alone enforce it.
    """
    missing = [name for name in _CHOSEN_HERE if getattr(decoding, name)]
    if decoding.logprobs and not tells:
        missing.append("logprobs")
    if missing and decoding.constraint is not None:
        raise UsageError(
            f"OpenVINO can't enforce a schema together with {missing[0]} on this device",
            "leave one out, or choose --runtime onnx",
        )
    return bool(missing) or (decoding.top_logprobs > 0 and decoding.constraint is None)


class OpenVINOScorer:
    """A compiled graph; see `aipc.runtimes.base.Scorer`."""

    def __init__(self, artifact: Path, device: str, properties: Mapping[str, str]) -> None:
        """Load ``artifact``; properties of GenAI's pipeline alone are left out, and named.

        Raises:
            DeviceError: this machine has no such device.
            EngineError: OpenVINO failed; its own error is the cause.
        """
        import openvino

        core = openvino.Core()
        name = resolve_device(device, core.available_devices)
        own = _graphs_own(core, name, properties)
        with (
            translated(f"the model could not be loaded on {name}"),
            read_once(artifact / OPENVINO_WEIGHTS),
        ):
            model = core.compile_model(artifact / OPENVINO_MODEL, name, own)
            list(ScoredSequence(model, None, None).append([0]))  # in which weights are repacked
        self._model: Any = model
        self._vocabulary = _vocabulary(model)
        self._switch = read_rope_switch(artifact)
        self.facts: Mapping[str, Any] = {
            "runtime": "openvino",
            "version": openvino.__version__,
            "device": name,
            "properties": own,
            "left_out": sorted(set(properties) - set(own)),
            "numerics": _numerics(model),
        }

    def logits(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        yield from self.sequence(ids).append(ids)

    def sequence(self, beginning: Sequence[int]) -> ScoredSequence:
        """A new one, that can begin with ``beginning``; any number at once.

        Raises:
            EngineError: no tokens, tokens outside the vocabulary, or a closed scorer.
        """
        self._check(np.asarray(beginning, np.int64))
        return ScoredSequence(self._model, self._switch, PIECE)

    def close(self) -> None:
        self._model = None

    def _check(self, sequence: npt.NDArray[np.int64]) -> None:
        if self._model is None:
            raise EngineError("the model has been closed", "load it again")
        if not len(sequence):
            raise EngineError("the text has no tokens", "give at least one")
        known = self._vocabulary
        if sequence.min() < 0 or (known is not None and sequence.max() >= known):
            raise EngineError(
                f"the text has tokens from {sequence.min()} to {sequence.max()} and the model "
                f"knows {known or 'some'} from 0",
                "use the model's own tokenizer",
            )


class ScoredSequence:
    """A sequence whose keys and values a request of the compiled graph holds."""

    def __init__(self, model: Any, switch: int | None, piece: int | None) -> None:
        """``piece``: most tokens computed at once; None is any number.

        ``switch`` is the length at which the rotary embedding takes other factors.
        """
        self._request = model.create_infer_request()
        self._inputs = frozenset(port.get_any_name() for port in model.inputs)
        self._switch = switch
        self._piece = piece
        self._tokens: list[int] = []

    def append(self, tokens: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """The scores [places, vocabulary] of ``tokens``, in pieces.

        Those before are computed anew, and scored once more, where the sequence grows past the
        rotary switch: there every key is turned otherwise.

        Raises:
            EngineError: OpenVINO failed.
        """
        end, size = len(self._tokens) + len(tokens), self._piece or len(tokens)
        if self._switch is not None and len(self._tokens) <= self._switch < end:
            tokens, self._tokens, size = [*self._tokens, *tokens], [], end
            with translated("OpenVINO failed while scoring"):
                self._request.reset_state()
        for start in range(0, len(tokens), size):
            with translated("OpenVINO failed while scoring"):
                yield self._compute(tokens[start : start + size])

    def _compute(self, piece: Sequence[int]) -> npt.NDArray[np.float32]:
        start = len(self._tokens)
        self._tokens += piece
        end = len(self._tokens)
        given = {
            "input_ids": np.array([piece], np.int64),
            "attention_mask": np.ones((1, end), np.int64),
            "position_ids": np.arange(start, end)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        feed = {name: value for name, value in given.items() if name in self._inputs}
        scores = self._request.infer(feed)["logits"][0]
        return np.array(scores, np.float32)  # a copy: the next piece takes the same memory


class ScoredGeneration(JudgedTokens):
    """One request whose tokens are chosen here; see `aipc.runtimes.base.Generation`."""

    def __init__(
        self,
        sequence: ScoredSequence,
        prompt: Sequence[int],
        decoding: Decoding,
        stop_ids: frozenset[int],
    ) -> None:
        """``sequence`` is a new one, for ``prompt``."""
        super().__init__(decoding)
        self._sequence = sequence
        self._pending = list(prompt)
        self._sampler = Sampler(decoding, prompt)
        self._stop_ids = stop_ids
        self._left = decoding.max_new_tokens
        self._cancelled = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._left == 0 or self._cancelled.is_set()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        left, self._left = self._left, 0  # an error ends it
        scores = _last(self._sequence, self._pending, self._cancelled) if left else None
        if scores is None:
            raise StopIteration
        token = self._sampler.choose(scores)
        self.judge(scores, token)
        self._pending = [token]
        self._left = 0 if token in self._stop_ids else left - 1
        return token

    def cancel(self) -> None:
        self._cancelled.set()


class FollowedGeneration(JudgedTokens):
    """A pipeline's generation, each of its tokens judged by the graph's scores as it comes.

    So alternatives are told where the pipeline has to choose; it takes twice the work.
    """

    def __init__(
        self,
        generation: Generation,
        sequence: ScoredSequence,
        prompt: Sequence[int],
        decoding: Decoding,
    ) -> None:
        """``sequence`` is a new one, for ``prompt``, which ``generation`` answers."""
        super().__init__(decoding)
        self._generation = generation
        self._sequence = sequence
        self._pending = list(prompt)
        self._cancelled = threading.Event()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        token = next(self._generation)
        scores = _last(self._sequence, self._pending, self._cancelled)
        if scores is None:
            raise StopIteration
        self.judge(scores, token)
        self._pending = [token]
        return token

    def cancel(self) -> None:
        self._cancelled.set()
        self._generation.cancel()


def _last(
    sequence: ScoredSequence, tokens: Sequence[int], cancelled: threading.Event
) -> Scores | None:
    """The scores after the last of ``tokens``; None where it was cancelled before."""
    scores = None
    for piece in sequence.append(tokens):
        if cancelled.is_set():
            return None
        scores = piece[-1]
    return scores


def _graphs_own(core: Any, device: str, properties: Mapping[str, str]) -> dict[str, str]:
    """Those that the device or OpenVINO's core understands; the others are the pipeline's."""
    known = _CORES_OWN | set(core.get_property(device, "SUPPORTED_PROPERTIES"))
    return {name: value for name, value in properties.items() if name in known}


def _vocabulary(model: Any) -> int | None:
    """Entries of the vocabulary; None where the graph does not fix them."""
    last = model.output("logits").get_partial_shape()[-1]
    return None if last.is_dynamic else int(last.get_length())


def _numerics(model: Any) -> dict[str, str]:
    """What the device computes in, as it says itself."""
    known = set(model.get_property("SUPPORTED_PROPERTIES"))
    return {name: _text(model.get_property(name)) for name in EXACT if name in known}


def _text(value: Any) -> str:
    return str(value.to_string() if hasattr(value, "to_string") else value)
