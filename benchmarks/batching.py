"""Several answers at once: aipc's engine against the bare runtime, and one client against many.

    python benchmarks/batching.py [MODEL] [--runtime onnx] [--clients 8] [--tokens 128]

All run the same artifact with the same properties and threads on this CPU, in one run, in turn;
none computes while another does.  "bare" is OpenVINO GenAI's ContinuousBatchingPipeline, or a
Generator of ONNX Runtime GenAI that has all prompts from the start; "engine" is GenAI's Engine.
At the end: the time to the first token of a second question after the same system prompt, as a
share of the first's.  Medians of the rounds, with the interval that holds them 19 times in 20.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aipc.measure.peers import onnxruntime_genai as genai
from aipc.measure.peers import openvino_batching
from aipc.measure.statistics import of_median
from aipc.runtimes.base import Decoding, Engine
from aipc.runtimes.onnx.provider import find_provider, read_properties, session_options
from aipc.runtimes.registry import RUNTIMES

LENGTH = 32
"""Tokens of each prompt: all alike, as a Generator takes them."""
SYSTEM, QUESTION = 500, 20
Answer = Callable[[list[list[int]], int], Any]


def engine_answers(engine: Engine) -> Answer:
    """A thread for each client."""

    def answer(prompts: list[list[int]], tokens: int) -> None:
        def one(prompt: list[int]) -> None:
            made = len(list(engine.start(prompt, Decoding(tokens), frozenset())))
            assert made == tokens

        threads = [threading.Thread(target=one, args=(prompt,)) for prompt in prompts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return answer


def genai_engine(model: Any) -> Answer:
    import onnxruntime_genai as og

    engine = og.Engine(model)

    def answer(prompts: list[list[int]], tokens: int) -> None:
        events, requests = engine.create_event_buffer(64), []
        for prompt in prompts:
            options = og.RequestOptions()
            options.set_max_session_tokens(len(prompt) + tokens)
            request = engine.create_request(options=options)
            turn = og.TurnOptions(request)
            turn.set_do_sample(False)
            turn.set_max_generated_tokens(tokens)
            turn.set_min_generated_tokens(tokens)
            request.begin_turn(np.array(prompt, np.int32), turn)
            requests.append(request)
        while engine.has_pending_requests():
            engine.run(events)
        for request in requests:
            request.close()

    return answer


def bare(runtime: str, artifact: str, properties: dict[str, str], rows: int) -> dict[str, Answer]:
    if runtime == "openvino":
        options = {"artifact": artifact, "device": "CPU", "properties": properties}
        return {"bare": openvino_batching.load(options)[1]}
    import onnxruntime_genai as og

    config = og.Config(artifact)
    options = session_options({}, read_properties(properties, find_provider("cpu")))
    batching = {"static_batching": {"max_batch_size": rows}}
    model = {"decoder": {"session_options": options}}
    config.overlay(json.dumps({"model": model, "engine": batching}))
    loaded = og.Model(config)
    return {"bare": partial(genai.answer, loaded), "engine": genai_engine(loaded)}


def rate(answer: Answer, prompts: list[list[int]], tokens: int) -> float:
    """Tokens a second of all clients, prompts included."""
    started = time.perf_counter()
    answer(prompts, tokens)
    return len(prompts) * tokens / (time.perf_counter() - started)


def prefix_share(engine: Engine, random: np.random.Generator, vocabulary: int) -> float:
    """Time to the first token of the second question, as a share of the first's."""

    def some(count: int) -> list[int]:
        return [int(token) for token in random.integers(3, vocabulary, count)]

    def first_token(prompt: list[int]) -> float:
        started = time.perf_counter()
        answer = engine.start(prompt, Decoding(8), frozenset())
        next(answer)
        took = time.perf_counter() - started
        list(answer)
        return took

    system = some(SYSTEM)
    first = first_token(system + some(QUESTION))
    return first_token(system + some(QUESTION)) / first


def row(name: str, values: Sequence[float], unit: str, digits: int = 1) -> str:
    span = of_median(values)
    return (
        f"{name:34} {span.middle:9.{digits}f} {unit}  "
        f"({span.low:.{digits}f} to {span.high:.{digits}f})"
    )


def prepare(model: str | None, runtime: str) -> tuple[str, str, dict[str, str]]:
    """The runtime, the artifact, and the properties that aipc chooses for it here."""
    import aipc

    with aipc.load(model, device="cpu", runtime=runtime) as session:
        facts = session.facts
        return facts["runtime"], facts["artifact"], dict(facts["properties"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    runtime, artifact, properties = prepare(asked.model, asked.runtime)
    print(f"{Path(artifact).name}  {properties}  load {os.getloadavg()[0]:.1f}")
    random, vocabulary = np.random.default_rng(0), 30_000
    engine = RUNTIMES.get(runtime).open(Path(artifact), "cpu", properties)
    answers = {"aipc": engine_answers(engine)} | bare(runtime, artifact, properties, asked.clients)
    rates: dict[tuple[str, int], list[float]] = {}
    for at in range(asked.rounds + 1):
        for clients in (1, asked.clients):
            prompts = random.integers(3, vocabulary, (clients, LENGTH)).tolist()
            for name in sorted(answers, reverse=bool(at % 2)):
                made = rate(answers[name], prompts, asked.tokens)
                rates.setdefault((name, clients), []).extend([made] * bool(at))  # first: warm-up
    for (name, clients), each in rates.items():
        print(row(f"{name}, {clients} at once", each, "tokens/s"))
    many = rates["aipc", asked.clients]
    for (name, clients), each in rates.items():
        if each is not many and (clients > 1 or name == "aipc"):
            ratios = [a / b for a, b in zip(many, each, strict=True)]
            print(row(f"aipc, {asked.clients} / {name}, {clients}", ratios, "", 2))
    shares = [prefix_share(engine, random, vocabulary) for _ in range(asked.rounds)]
    print(row("second question / first", shares, "", 3))
    print(f"load {os.getloadavg()[0]:.1f}")
    engine.close()


if __name__ == "__main__":
    main()
