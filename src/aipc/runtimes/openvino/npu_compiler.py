"""Compiled pipelines for the NPU: made by OpenVINO's compiler, or taken from a cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.files import OPENVINO_MODEL, OPENVINO_WEIGHTS
from aipc.errors import AipcError, EngineError, UsageError
from aipc.progress import Notify, Progress
from aipc.runtimes.blob_cache import BlobCache
from aipc.runtimes.openvino.static_shape import NpuOptions, Shape
from aipc.runtimes.openvino.tokenizer import masked_tokenizer
from aipc.runtimes.vendor_errors import translated

EMULATION: Mapping[str, str] = {
    "NPU_USE_NPUW": "YES",
    "NPUW_DEVICES": "CPU",
    "NPUW_ONLINE_PIPELINE": "NONE",
}
"""Properties that run the NPU's pipeline on the CPU, as OpenVINO GenAI's own tests do."""


_DECODER: Mapping[str, str] = {
    "NPU_USE_NPUW": "YES",
    "NPUW_LLM": "YES",
    "NPUW_LLM_BATCH_DIM": "0",
    "NPUW_LLM_SEQ_LEN_DIM": "2",
}
"""What GenAI's pipeline sets besides lengths and hints: the layout of keys and values, and who
compiles.  Source: openvino.genai, ``update_npu_config`` in ``src/cpp/src/utils.cpp``."""
BLOB = "model.blob"
_OWN_CACHE = frozenset({"CACHE_DIR", "CACHE_MODE"})


def is_emulated(properties: Mapping[str, str]) -> bool:
    return EMULATION.items() <= properties.items()


class NpuCompiler:
    """Makes pipelines of one artifact, or takes them from the cache."""

    def __init__(
        self,
        artifact: Path,
        properties: Mapping[str, str],
        options: NpuOptions,
        switch: int | None,
        blobs: BlobCache | None,
    ) -> None:
        import openvino_genai

        self.version: str = openvino_genai.__version__
        self.properties = dict(properties)
        self._artifact = artifact
        self._hints = _hints(options, switch)
        self._blobs = blobs if _is_cacheable(properties) else None

    def pipeline(self, shape: Shape, progress: Progress, notify: Notify) -> Any:
        """A pipeline of that shape.

        Raises:
            EngineError: OpenVINO can't compile it; its own error is the cause.
        """
        if self._blobs is None:
            progress(_compiling(shape), 0, 0)
            return self._compile(shape)
        return self._kept(shape, self._blobs, notify) or self._made(
            shape, self._blobs, progress, notify
        )

    def graph(self, shape: Shape, progress: Progress) -> Any:
        """The model of that shape without GenAI's pipeline: it gives the last token's scores.

        Raises:
            EngineError: OpenVINO can't compile it; its own error is the cause.
        """
        import openvino

        progress(_compiling(shape), 0, 0)
        lengths = {"MAX_PROMPT_LEN": str(shape.prompt), "MIN_RESPONSE_LEN": str(shape.response)}
        asked = {f"NPUW_LLM_{name}": value for name, value in {**lengths, **self._hints}.items()}
        properties = {**self.properties, **_DECODER, **asked}
        with translated("the model could not be compiled for the NPU"):
            return openvino.Core().compile_model(self._artifact / OPENVINO_MODEL, "NPU", properties)

    def _kept(self, shape: Shape, blobs: BlobCache, notify: Notify) -> Any:
        configuration = self._configuration(shape)
        folder = blobs.find(configuration)
        if folder is None:
            return None
        weights = self._artifact / OPENVINO_WEIGHTS
        try:
            with translated("the kept blob can't be read"):
                return self._open(BLOB_PATH=str(folder / BLOB), WEIGHTS_PATH=str(weights))
        except EngineError as error:
            notify(f"{error.what}; compiling anew")
            blobs.discard(configuration)
            return None

    def _made(self, shape: Shape, blobs: BlobCache, progress: Progress, notify: Notify) -> Any:
        notify(f"{_compiling(shape)}: this happens once and can take minutes")
        progress(_compiling(shape), 0, 0)
        needed = 2 * (self._artifact / OPENVINO_WEIGHTS).stat().st_size
        made = None
        try:
            with blobs.making(self._configuration(shape), needed) as folder:
                if folder is not None:
                    blob = str(folder / BLOB)
                    made = self._compile(shape, EXPORT_BLOB="YES", BLOB_PATH=blob)
        except EngineError:
            raise
        except AipcError as error:
            notify(f"the compiled model is not kept: {error}")
        return made or self._kept(shape, blobs, notify) or self._compile(shape)

    def _compile(self, shape: Shape, **export: str) -> Any:
        with translated("the model could not be compiled for the NPU"):
            return self._open(
                MAX_PROMPT_LEN=shape.prompt,
                MIN_RESPONSE_LEN=shape.response,
                **self._hints,
                **export,
            )

    def _open(self, **more: Any) -> Any:
        import openvino_genai

        tokenizer = masked_tokenizer(self._artifact)
        given = [self._artifact] if tokenizer is None else [self._artifact, tokenizer]
        return openvino_genai.LLMPipeline(*given, "NPU", **self.properties, **more)

    def _configuration(self, shape: Shape) -> dict[str, Any]:
        """All that a compiled pipeline depends on, but the model and the driver."""
        import openvino

        return {
            "openvino": openvino.__version__,
            "openvino_genai": self.version,
            "device": "NPU",
            "max_prompt_len": shape.prompt,
            "min_response_len": shape.response,
            "properties": {**self.properties, **self._hints},
        }


def _is_cacheable(properties: Mapping[str, str]) -> bool:
    """Not where the user keeps a cache of OpenVINO's; nor where a blob would lose a property.

    Emulated, a blob is loaded by the CPU's plugin with that plugin's defaults: measured with
    2026.4.1, it forgets INFERENCE_PRECISION_HINT and so changes the answer.
    """
    if any(properties.get(name) for name in _OWN_CACHE):
        return False
    return not is_emulated(properties) or set(properties) <= set(EMULATION)


def _hints(options: NpuOptions, switch: int | None) -> dict[str, str]:
    prefill = options.prefill_hint
    if switch is not None:
        if prefill == "dynamic":
            raise UsageError(
                "a model with two sets of rotary factors needs its prompt in one piece",
                "leave --prefill-hint out",
            )
        prefill = "static"
    hints = {"PREFILL_HINT": prefill, "GENERATE_HINT": options.generate_hint}
    return {name: hint.upper().replace("-", "_") for name, hint in hints.items() if hint}


def _compiling(shape: Shape) -> str:
    return f"compiling for the NPU, prompts up to {shape.prompt:,} tokens"
