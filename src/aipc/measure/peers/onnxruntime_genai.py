"""Bare onnxruntime_genai: its generator loop, as in its own samples."""

from __future__ import annotations

import json
import time
from typing import Any


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import onnxruntime_genai

    config = onnxruntime_genai.Config(options["artifact"])
    kind, _, number = options["device"].lower().partition(".")
    if kind == "cuda":
        _prepare_cuda(config, number or "0")
    session = {name: _number(value) for name, value in options["properties"].items()}
    if options["threads"]:
        session.setdefault("intra_op_num_threads", options["threads"])
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    model = onnxruntime_genai.Model(config)
    facts = {
        "device": model.device_type,
        "runtime": "onnx",
        "properties": {name: str(value) for name, value in session.items()},
        "versions": {"onnxruntime_genai": onnxruntime_genai.__version__},
    }
    return facts, lambda prompts, tokens: answer(model, prompts, tokens)


def _prepare_cuda(config: Any, number: str) -> None:
    """The folder names the provider; its libraries lie in NVIDIA's wheels."""
    import onnxruntime

    onnxruntime.preload_dlls(directory="")
    config.set_provider_option("cuda", "device_id", number)


def answer(model: Any, prompts: list[list[int]], tokens: int) -> list[list[float]]:
    import numpy as np
    import onnxruntime_genai

    length = len(prompts[0]) + tokens
    started = time.perf_counter()
    parameters = onnxruntime_genai.GeneratorParams(model)
    # the least length keeps a stop id from ending the answer
    parameters.set_search_options(
        batch_size=len(prompts), max_length=length, min_length=length, do_sample=False
    )
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(np.array(prompts, np.int32))
    arrivals: list[float] = []
    while len(arrivals) < tokens:
        generator.generate_next_token()
        generator.get_next_tokens()
        arrivals.append(time.perf_counter() - started)
    return [arrivals] * len(prompts)


def _number(value: str) -> int | str:
    return int(value) if value.lstrip("-").isdigit() else value
