"""OpenVINO GenAI behind the runtime protocol.

One continuous-batching pipeline serves one user and many alike: `Generation.__next__` steps
it until its own token has come, and every step advances all requests.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aipc.devices import resolve_device
from aipc.errors import ArtifactError, EngineError
from aipc.runtimes.base import Capabilities, Decoding
from aipc.runtimes.openvino_properties import check_properties

MODEL = "openvino_model.xml"
PROMPT_CHUNK = 4096  # tokens of prompts computed in one step, of all requests together
WHOLE_PROMPT = 2**31 - 1


class OpenVINORuntime:
    """Opens OpenVINO IR folders, ours and the vendor's."""

    name = "openvino"
    kinds = frozenset({"cpu", "gpu"})

    def capabilities(self, kind: str) -> Capabilities:  # noqa: ARG002 - CPU and GPU are alike
        return Capabilities(
            runtime=self.name,
            formats=frozenset({"openvino"}),
            concurrent=True,
        )

    def open(self, artifact: Path, device: str, properties: Mapping[str, str]) -> OpenVINOEngine:
        if not (artifact / MODEL).is_file():
            raise ArtifactError(f"{artifact} has no {MODEL}", "convert it with --runtime openvino")
        import openvino

        core = openvino.Core()
        name = resolve_device(device, core.available_devices)
        check_properties(core, name, properties)
        return OpenVINOEngine(artifact, name, properties)


class OpenVINOEngine:
    """A model loaded in a continuous-batching pipeline; see `aipc.runtimes.base.Engine`."""

    def __init__(self, artifact: Path, device: str, properties: Mapping[str, str]) -> None:
        import openvino_genai

        self.device = device
        self.facts: Mapping[str, Any] = {
            "runtime": "openvino",
            "version": openvino_genai.__version__,
            "device": device,
            "properties": dict(properties),
        }
        self.switch = _rope_switch(artifact)
        self.lock = threading.Lock()
        self._ids = itertools.count()
        scheduler = _scheduler(chunked=self.switch is None)
        with _translated("the model could not be loaded on " + device):
            self._pipeline: Any = openvino_genai.ContinuousBatchingPipeline(
                artifact, scheduler, device, dict(properties)
            )

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> OpenVINOGeneration:
        if not prompt:
            raise EngineError("the prompt has no tokens", "give at least one")
        return OpenVINOGeneration(self, prompt, decoding, stop_ids)

    def submit(self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]) -> Any:
        """The pipeline's own handle for a new request."""
        import numpy as np
        import openvino

        tokens = openvino.Tensor(np.array([prompt], np.int64))
        config = _generation_config(decoding, stop_ids)
        with self.lock, _translated("OpenVINO GenAI refused the request"):
            return self._open_pipeline().add_request(next(self._ids), tokens, config)

    def advance(self, handle: Any) -> list[int]:
        """Step until ``handle`` has tokens; an empty list when it has ended."""
        with self.lock, _translated("OpenVINO GenAI failed while generating"):
            while not handle.can_read():
                if not _is_running(handle):
                    return []
                self._open_pipeline().step()
            return [token for output in handle.read().values() for token in output.generated_ids]

    def release(self, handle: Any) -> None:
        """Cancel a request and, at the next step, free its part of the cache."""
        handle.cancel()

    def close(self) -> None:
        with self.lock:
            self._pipeline = None

    def _open_pipeline(self) -> Any:
        if self._pipeline is None:
            raise EngineError("the model has been closed", "load it again")
        return self._pipeline


class OpenVINOGeneration:
    """One request; restarted once where its rotary embedding switches to the long factors.

    Keys computed with the short factors can't be compared with queries turned by the long
    ones, so the cache is built anew there, as transformers does for Phi-3.
    """

    def __init__(
        self,
        engine: OpenVINOEngine,
        prompt: Sequence[int],
        decoding: Decoding,
        stop_ids: frozenset[int],
    ) -> None:
        self._engine = engine
        self._stop_ids = stop_ids
        self._decoding = decoding
        self._sequence = list(prompt)
        self._left = decoding.max_new_tokens
        self._ready: deque[int] = deque()
        self._cancelled = threading.Event()
        self._handle = self._submit()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if not self._ready:
            self._ready.extend(self._more())
        if not self._ready or self._cancelled.is_set():
            raise StopIteration
        token = self._ready.popleft()
        self._sequence.append(token)
        self._left = 0 if token in self._stop_ids else self._left - 1
        return token

    def cancel(self) -> None:
        self._cancelled.set()
        self._engine.release(self._handle)

    def _more(self) -> list[int]:
        if self._left <= 0 or self._cancelled.is_set():
            return []
        tokens = self._engine.advance(self._handle)
        if not tokens and not self._cancelled.is_set():
            self._restart()
            tokens = self._engine.advance(self._handle)
        return tokens

    def _restart(self) -> None:
        """Begin the leg after the rotary switch; a request has no other reason to end early."""
        if self._engine.switch is None or len(self._sequence) != self._engine.switch + 1:
            raise EngineError(
                f"OpenVINO GenAI ended the request at {len(self._sequence):,} tokens, "
                "probably for want of memory for its cache",
                "shorten the prompt or end other generations",
            )
        self._handle = self._submit()
        if self._cancelled.is_set():
            self._engine.release(self._handle)

    def _submit(self) -> Any:
        leg = replace(self._decoding, max_new_tokens=self._leg())
        return self._engine.submit(self._sequence, leg, self._stop_ids)

    def _leg(self) -> int:
        """Tokens to generate before the rotary switch, where that is still ahead."""
        switch = self._engine.switch
        if switch is None or len(self._sequence) > switch:
            return self._left
        return min(self._left, switch - len(self._sequence) + 1)


def _is_running(handle: Any) -> bool:
    import openvino_genai

    return bool(handle.get_status() == openvino_genai.GenerationStatus.RUNNING)


def _scheduler(*, chunked: bool) -> Any:
    """Chat history is computed once (prefix caching), unless a rotary switch forbids it.

    With a switch a prompt must be computed in one piece, and the cache of a short sequence is
    no prefix of a long one's.
    """
    import openvino_genai

    config = openvino_genai.SchedulerConfig()
    config.enable_prefix_caching = chunked
    config.dynamic_split_fuse = chunked
    config.max_num_batched_tokens = PROMPT_CHUNK if chunked else WHOLE_PROMPT
    return config


def _generation_config(decoding: Decoding, stop_ids: frozenset[int]) -> Any:
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = decoding.max_new_tokens
    config.repetition_penalty = decoding.repetition_penalty
    config.set_eos_token_id(min(stop_ids, default=0))
    config.stop_token_ids = set(stop_ids) or {0}
    config.ignore_eos = not stop_ids
    if decoding.temperature > 0:
        config.do_sample = True
        config.temperature = decoding.temperature
        config.top_p = decoding.top_p
        config.rng_seed = decoding.seed
        if decoding.top_k:
            config.top_k = decoding.top_k
    return config


def _rope_switch(artifact: Path) -> int | None:
    """The length past which the model's rotary embedding takes other factors, if it has one."""
    try:
        config = json.loads((artifact / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None  # a vendor's folder may lack it; its graph then holds what it needs
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if scaling.get("rope_type", scaling.get("type")) not in {"longrope", "su"}:
        return None
    names = "original_max_position_embeddings"
    switch = config.get(names) or scaling.get(names)
    return int(switch) if switch else None


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the vendor's RuntimeError into ours, with its first telling line."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f"{what}: {_reason(error)}", "run with --debug for all of it") from error


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or ["no reason given"])[0][:200]
