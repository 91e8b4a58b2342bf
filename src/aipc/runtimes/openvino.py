"""OpenVINO GenAI behind the runtime protocol, on the CPU and the GPU.

One continuous-batching pipeline serves one user and many alike: `Generation.__next__` steps
it until its own token has come, and every step advances all requests.  The NPU has another
pipeline: `aipc.runtimes.openvino_npu`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aipc.devices import resolve_device
from aipc.errors import ArtifactError, EngineError
from aipc.runtimes.base import Capabilities, Decoding, Engine
from aipc.runtimes.openvino_errors import translated
from aipc.runtimes.openvino_generation import (
    OpenVINOGeneration,
    generation_config,
    rope_switch,
    token_tensor,
)
from aipc.runtimes.openvino_properties import check_properties

MODEL = "openvino_model.xml"
PROMPT_CHUNK = 4096  # tokens of prompts computed in one step, of all requests together
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
        )

    def open(self, artifact: Path, device: str, properties: Mapping[str, str]) -> Engine:
        if not (artifact / MODEL).is_file():
            raise ArtifactError(f"{artifact} has no {MODEL}", "convert it with --runtime openvino")
        if device.lower() == "npu":
            from aipc.runtimes.openvino_npu import open_npu

            return open_npu(artifact, properties)
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
        self.switch = rope_switch(artifact)
        self.lock = threading.Lock()
        self._ids = itertools.count()
        scheduler = _scheduler(chunked=self.switch is None)
        with translated("the model could not be loaded on " + device):
            self._pipeline: Any = openvino_genai.ContinuousBatchingPipeline(
                artifact, scheduler, device, dict(properties)
            )

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> OpenVINOGeneration:
        return OpenVINOGeneration(self, prompt, decoding, stop_ids)

    def submit(self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]) -> Any:
        """The pipeline's own handle for a new request."""
        tokens = token_tensor(prompt)
        config = generation_config(decoding, stop_ids)
        with self.lock, translated("OpenVINO GenAI refused the request"):
            return self._open_pipeline().add_request(next(self._ids), tokens, config)

    def advance(self, handle: Any) -> list[int]:
        """Step until ``handle`` has tokens; an empty list when it has ended."""
        with self.lock, translated("OpenVINO GenAI failed while generating"):
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
