"""Bare openvino_genai: LLMPipeline, the class of its own samples."""

from __future__ import annotations

import time
from typing import Any


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import openvino_genai

    pipeline = openvino_genai.LLMPipeline(
        options["artifact"], options["device"], **options["properties"]
    )
    facts = {
        "device": options["device"],
        "runtime": "openvino",
        "properties": options["properties"],
        "versions": {"openvino_genai": openvino_genai.__version__},
    }
    return facts, lambda prompts, tokens: answer(pipeline, prompts, tokens)


def answer(pipeline: Any, prompts: list[list[int]], tokens: int) -> list[list[float]]:
    import numpy as np
    import openvino
    import openvino_genai

    if len(prompts) > 1:
        raise ValueError("LLMPipeline takes a batch as texts alone: openvino_batching takes ids")
    config = openvino_genai.GenerationConfig(
        max_new_tokens=tokens, ignore_eos=True, do_sample=False
    )
    ids = openvino.Tensor(np.array(prompts, np.int64))
    arrivals: list[float] = []
    started = time.perf_counter()

    class Clock(openvino_genai.StreamerBase):  # type: ignore[misc]
        """Told of token ids before anything is made of them."""

        def write(self, token: Any) -> Any:
            count = len(token) if isinstance(token, list) else 1
            arrivals.extend([time.perf_counter() - started] * count)
            return openvino_genai.StreamingStatus.RUNNING

        def end(self) -> None:
            pass

    pipeline.generate(ids, config, Clock())
    return [arrivals]
