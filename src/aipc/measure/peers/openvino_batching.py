"""Bare openvino_genai: ContinuousBatchingPipeline, made for many requests at once."""

from __future__ import annotations

import time
from typing import Any


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import openvino_genai

    pipeline = openvino_genai.ContinuousBatchingPipeline(
        options["artifact"],
        openvino_genai.SchedulerConfig(),
        options["device"],
        options["properties"],
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

    config = openvino_genai.GenerationConfig(
        max_new_tokens=tokens, ignore_eos=True, do_sample=False
    )
    started = time.perf_counter()
    handles = [
        pipeline.add_request(number, openvino.Tensor(np.array([prompt], np.int64)), config)
        for number, prompt in enumerate(prompts)
    ]
    times: list[list[float]] = [[] for _ in prompts]
    while pipeline.has_non_finished_requests():
        pipeline.step()
        for handle, arrivals in zip(handles, times, strict=True):
            if handle.can_read():
                count = sum(len(output.generated_ids) for output in handle.read().values())
                arrivals.extend([time.perf_counter() - started] * count)
    return times
