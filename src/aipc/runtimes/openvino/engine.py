"""OpenVINO GenAI behind the runtime protocol, on the CPU and the GPU.

One continuous-batching pipeline serves one user and many alike: `aipc.runtimes.openvino.batch`
steps it.  The NPU has another pipeline: `aipc.runtimes.openvino.npu`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

from aipc.artifact.files import OPENVINO_MODEL, OPENVINO_WEIGHTS
from aipc.artifact.lora import Factors
from aipc.artifact.rope_switch import read_rope_switch
from aipc.devices import kind_of, resolve_device
from aipc.errors import ArtifactError, DeviceError, EngineError, UsageError
from aipc.runtimes.base import (
    MERGE_ADAPTER,
    Capabilities,
    Decoding,
    Engine,
    Generation,
    Scorer,
    check_adapter,
)
from aipc.runtimes.json_schema import check_constrained
from aipc.runtimes.kv_budget import kv_budget, state_tokens
from aipc.runtimes.openvino.batch import Batch, BatchRequest, LoadedAdapters
from aipc.runtimes.openvino.generation import OpenVINOGeneration, generation_config, token_tensor
from aipc.runtimes.openvino.grammar_check import GrammarCheck
from aipc.runtimes.openvino.properties import check_properties
from aipc.runtimes.openvino.recipe import has_fused_attention, keeps_states
from aipc.runtimes.openvino.repack import read_once, repack
from aipc.runtimes.openvino.scorer import (
    FollowedGeneration,
    OpenVINOScorer,
    ScoredGeneration,
    is_scored,
)
from aipc.runtimes.openvino.tokenizer import masked_tokenizer
from aipc.runtimes.prompt_lookup import PROPERTIES, SWITCH, PromptLookup, read_lookup
from aipc.runtimes.sampler import Scores
from aipc.runtimes.signal_stack import leave_signal_stack
from aipc.runtimes.token_queue import TokenChunk
from aipc.runtimes.vendor_errors import translated
from aipc.timing_spans import span

PROMPT_CHUNK = 512
"""Tokens computed in one step, of all requests together, while a prompt is read.

Others' tokens, and a cancel, wait for a step at most.  2,000 tokens cost a 135M model as much work
in pieces of 512 as in one of 4,096 (3.9 s of one core), and a step lasts a third as long.
"""
WHOLE_PROMPT = 2**31 - 1


class OpenVINORuntime:
    """Opens OpenVINO IR folders, ours and the vendor's."""

    name = "openvino"
    kinds = frozenset({"cpu", "gpu", "npu"})

    def capabilities(self, kind: str) -> Capabilities:
        return Capabilities(
            runtime=self.name,
            formats=frozenset({"openvino"}),
            concurrent=kind != "npu",
            constraints=frozenset({"json_schema", "regex"}),
            logprobs=True,
            logits=kind != "npu",
            adapters=kind == "cpu",
        )

    def open(
        self,
        artifact: Path,
        device: str,
        properties: Mapping[str, str],
        adapters: Mapping[str, Factors] | None = None,
    ) -> Engine:
        _check_folder(artifact)
        if adapters:
            self.capabilities(kind_of(device)).check_adapters()
        if device.lower() == "npu":
            from aipc.runtimes.openvino.npu import open_npu

            return open_npu(artifact, properties)
        import openvino

        core = openvino.Core()
        name = resolve_device(device, core.available_devices)
        check_properties(core, name, properties)
        if has_fused_attention(artifact):
            return OpenVINOEngine(artifact, name, properties, adapters)
        if adapters:
            raise UsageError(
                "OpenVINO takes no adapters with this network's attention while it runs",
                MERGE_ADAPTER,
            )
        return GraphEngine(artifact, name, properties)

    def scorer(self, artifact: Path, device: str, properties: Mapping[str, str]) -> Scorer:
        _check_folder(artifact)
        if device.lower().startswith("npu"):
            raise DeviceError("the NPU's pipeline gives no scores", "score on cpu or gpu")
        return OpenVINOScorer(artifact, device, properties)


class OpenVINOEngine:
    """A model loaded in a continuous-batching pipeline; see `aipc.runtimes.base.Engine`."""

    def __init__(
        self,
        artifact: Path,
        device: str,
        properties: Mapping[str, str],
        adapters: Mapping[str, Factors] | None = None,
    ) -> None:
        with span("import the runtime"):
            import openvino_genai

        self.device = device
        self._adapters = LoadedAdapters(adapters) if adapters else None
        if self._adapters is not None:
            properties = self._adapters.exact(properties)
        self.facts: Mapping[str, Any] = {
            "runtime": "openvino",
            "version": openvino_genai.__version__,
            "device": device,
            "properties": dict(properties),
        }
        self.switch = read_rope_switch(artifact)
        self._lookup = read_lookup(properties)
        if self._lookup is not None and keeps_states(artifact):
            raise UsageError(
                "OpenVINO has no prompt lookup for a network with blocks that convolve or remember",
                "leave prompt_lookup out",
            )
        if self._lookup is not None and adapters:
            raise UsageError(
                "OpenVINO has no prompt lookup with adapters", "leave prompt_lookup out"
            )
        scheduler = _scheduler(chunked=self.switch is None, caches=not adapters)
        with translated("the model could not be loaded on " + device):
            typed = _typed(properties, self._lookup)
            if self._adapters is not None:
                typed |= self._adapters.properties
            make = openvino_genai.ContinuousBatchingPipeline
            tokenizer = masked_tokenizer(artifact)
            # experts are repacked as the graph is compiled, other matrices as they are first used
            with read_once(artifact / OPENVINO_WEIGHTS) if device == "CPU" else nullcontext():
                pipeline: Any = (
                    make(artifact, scheduler, device, typed)
                    if tokenizer is None
                    else make(artifact, tokenizer, scheduler, device, **typed)
                )
        self._grammars = GrammarCheck(artifact)
        self._artifact = artifact
        self._state_tokens = state_tokens(artifact)
        self._scorer: OpenVINOScorer | None = None
        self._scoring = threading.Lock()
        self._scored: WeakSet[ScoredGeneration] = WeakSet()
        if device == "CPU":
            config = self._config(Decoding(1), frozenset())
            prepare = partial(repack, weights=artifact / OPENVINO_WEIGHTS, config=config)
            self._batch = Batch(pipeline, kv_budget(artifact), prepare, self._adapters)
        else:
            self._batch = Batch(pipeline, None, adapters=self._adapters)
        # Neither thread nor process outlives the engine or, in C++ code, the interpreter.
        self._finalizers = [
            weakref.finalize(self, each.close) for each in (self._batch, self._grammars)
        ]

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> Generation:
        check_constrained(decoding, len(prompt), stop_ids, self.switch)
        self._check_adapter(decoding)
        if is_scored(decoding):
            return self._start_scored(prompt, decoding, stop_ids)
        if decoding.constraint is not None:
            self._grammars.check(decoding.constraint)
        generation = OpenVINOGeneration(self, prompt, decoding, stop_ids)
        if not decoding.top_logprobs:
            return generation
        return FollowedGeneration(generation, self._graph().sequence(prompt), prompt, decoding)

    def scores(self, ids: Sequence[int]) -> Iterator[Scores]:
        return self._graph().logits(ids)

    def _start_scored(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> ScoredGeneration:
        generation = ScoredGeneration(self._graph().sequence(prompt), prompt, decoding, stop_ids)
        self._scored.add(generation)
        return generation

    def _graph(self) -> OpenVINOScorer:
        """The model once more, compiled at the first request that needs it."""
        with self._scoring:
            if not self._finalizers[0].alive:
                raise EngineError("the model has been closed", "load it again")
            if self._scorer is None:
                properties = self.facts["properties"]
                self._scorer = OpenVINOScorer(self._artifact, self.device, properties)
            return self._scorer

    def submit(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> BatchRequest:
        """A request of the batch, which begins as soon as there is room for it."""
        tokens = token_tensor(prompt)
        config = self._config(decoding, stop_ids)
        length = len(prompt) + decoding.max_new_tokens + self._state_tokens
        request = BatchRequest(
            tokens,
            config,
            length,
            self._batch.readers,
            whole=decoding.whole,
            adapter=decoding.adapter,
        )
        self._batch.add(request)
        return request

    def advance(self, handle: BatchRequest) -> TokenChunk:
        """Wait for the tokens of ``handle``; none when it has ended."""
        return handle.read()

    def release(self, handle: BatchRequest) -> None:
        """Cancel a request; its part of the cache is free after the step under way."""
        handle.cancel()

    def close(self) -> None:
        for generation in list(self._scored):
            generation.cancel()
        for finalize in self._finalizers:
            finalize()
        with self._scoring:
            if self._scorer is not None:
                self._scorer.close()
        leave_signal_stack()

    def _check_adapter(self, decoding: Decoding) -> None:
        """Refuse an unknown one, and what is computed by the graph, which has none."""
        check_adapter(decoding.adapter, self._adapters.names if self._adapters else ())
        if decoding.adapter and (is_scored(decoding) or decoding.top_logprobs):
            raise UsageError(
                "OpenVINO has no penalties of presence and frequency, no logit_bias and no "
                "top_logprobs with an adapter",
                "leave them out, or merge the adapter: aipc convert MODEL --adapter DIR",
            )

    def _config(self, decoding: Decoding, stop_ids: frozenset[int]) -> Any:
        config = generation_config(decoding, stop_ids)
        if self._lookup is not None:
            config.num_assistant_tokens = self._lookup.num_assistant_tokens
            config.max_ngram_size = self._lookup.max_ngram_size
        return config


class GraphEngine:
    """A model whose graph is run as it is; see `aipc.runtimes.base.Engine`.

    GenAI's pipeline puts only fused attention on its paged cache, and none is for scores that are
    bent (Gemma 2).  Any number of requests run at once, each for itself.
    """

    def __init__(self, artifact: Path, device: str, properties: Mapping[str, str]) -> None:
        self.device = device
        self._scorer = OpenVINOScorer(artifact, device, properties)
        self._started: WeakSet[ScoredGeneration] = WeakSet()
        self.facts: Mapping[str, Any] = {**self._scorer.facts, "paged": False}

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> Generation:
        if decoding.constraint is not None:
            raise UsageError(
                "OpenVINO can't enforce a schema with this network's attention",
                "choose --runtime onnx",
            )
        generation = ScoredGeneration(self._scorer.sequence(prompt), prompt, decoding, stop_ids)
        self._started.add(generation)
        return generation

    def scores(self, ids: Sequence[int]) -> Iterator[Scores]:
        return self._scorer.logits(ids)

    def close(self) -> None:
        for generation in list(self._started):
            generation.cancel()
        self._scorer.close()
        leave_signal_stack()


def _check_folder(artifact: Path) -> None:
    if not (artifact / OPENVINO_MODEL).is_file():
        raise ArtifactError(
            f"{artifact} has no {OPENVINO_MODEL}", "convert it with --runtime openvino"
        )


def _typed(properties: Mapping[str, str], lookup: PromptLookup | None) -> dict[str, Any]:
    """The properties as GenAI's pipeline takes them; those of each request are not for it."""
    own: dict[str, Any] = {
        name: value for name, value in properties.items() if name not in PROPERTIES
    }
    return own if lookup is None else {**own, SWITCH: True}


def _scheduler(*, chunked: bool, caches: bool) -> Any:
    """Chat history is computed once (prefix caching), unless something forbids it.

    With a rotary switch a prompt must be computed in one piece, and the cache of a short sequence
    is no prefix of a long one's; with adapters (not ``caches``) one's cache would serve another.
    """
    import openvino_genai

    config = openvino_genai.SchedulerConfig()
    config.enable_prefix_caching = chunked and caches
    config.dynamic_split_fuse = chunked
    config.max_num_batched_tokens = PROMPT_CHUNK if chunked else WHOLE_PROMPT
    return config
