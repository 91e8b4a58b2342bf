"""llama.cpp, through llama-cpp-python: one sequence at a time."""

from __future__ import annotations

import time
from typing import Any


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import llama_cpp

    threads = {"n_threads": options["threads"], "n_threads_batch": options["threads"]}
    model = llama_cpp.Llama(
        options["artifact"],
        n_ctx=options["tokens"] + 1,
        n_gpu_layers=0,
        verbose=False,
        **(threads if options["threads"] else {}),
    )
    facts = {
        "device": "CPU",
        "runtime": "llama.cpp",
        "properties": {name: str(value) for name, value in threads.items() if value},
        "versions": {"llama_cpp_python": llama_cpp.__version__},
    }
    return facts, lambda prompts, tokens: answer(model, prompts, tokens)


def answer(model: Any, prompts: list[list[int]], tokens: int) -> list[list[float]]:
    if len(prompts) > 1:
        raise ValueError("llama-cpp-python generates one sequence at a time")
    model.reset()
    arrivals: list[float] = []
    started = time.perf_counter()
    for _ in model.generate(prompts[0], temp=0.0, repeat_penalty=1.0, reset=True):
        arrivals.append(time.perf_counter() - started)
        if len(arrivals) == tokens:
            break
    return [arrivals]
