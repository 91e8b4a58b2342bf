"""`aipc batch` against the bare pipeline fed the same prompts, and against one line at a time.

    python benchmarks/batch.py [MODEL] [--lines 200] [--tokens 48] [--rounds 5] [--in-flight N,N…]

"bare" is OpenVINO GenAI's ContinuousBatchingPipeline with aipc's scheduler settings, given all
prompts at once as token ids; "batch" is `aipc.batch.run` from a file into a file; "alone" is the
same with one line under way, on a sixth of the lines.  All run the same artifact with the same
properties on this CPU, in turn, each loaded anew, so that no prompt is in a cache; what counts is
the time from the first line asked to the last answer.  Answers are of different lengths, up to
``--tokens``.  Quoted are the medians of the rounds and of their ratios, with the interval that
holds them 19 times in 20.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aipc import batch
from aipc.batch.options import BatchOptions
from aipc.measure.statistics import of_median
from aipc.runtimes.openvino.engine import PROMPT_CHUNK

QUESTION = "List animals that live in {}, number {} first, and say a word about each."
PLACES = ("forests", "deserts", "rivers", "the sea", "cities", "mountains", "caves", "swamps")
ALONE = 6
"""The lines that are asked one at a time are a share of all: one in so many."""


def question(at: int) -> str:
    return QUESTION.format(PLACES[at % len(PLACES)], at + 1)


def length(at: int, tokens: int) -> int:
    """Most tokens of an answer: from half of ``tokens`` to all."""
    return tokens - at * 7919 % (tokens // 2 + 1)


class Bare:
    def __init__(self, artifact: str, properties: dict[str, str], prompts: list[list[int]]) -> None:
        self._artifact = artifact
        self._properties = properties
        self._prompts = prompts

    def rate(self, lines: int, tokens: int) -> float:
        """Tokens a second."""
        import openvino_genai

        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.dynamic_split_fuse = True
        scheduler.max_num_batched_tokens = PROMPT_CHUNK
        pipeline = openvino_genai.ContinuousBatchingPipeline(
            self._artifact, scheduler, "CPU", self._properties
        )
        self._answer(pipeline, 1, 2)  # the first of all rearranges weights
        started = time.perf_counter()
        made = self._answer(pipeline, lines, tokens)
        return made / (time.perf_counter() - started)

    def _answer(self, pipeline: Any, lines: int, tokens: int) -> int:
        import numpy as np
        import openvino
        import openvino_genai

        handles = []
        for at, prompt in enumerate(self._prompts[:lines]):
            config = openvino_genai.GenerationConfig(
                max_new_tokens=length(at, tokens), do_sample=False
            )
            config.set_eos_token_id(2)
            handles.append(
                pipeline.add_request(at, openvino.Tensor(np.array([prompt], np.int64)), config)
            )
        made = 0
        while pipeline.has_non_finished_requests():
            pipeline.step()
            for handle in handles:
                if handle.can_read():
                    made += sum(len(one.generated_ids) for one in handle.read().values())
        return made


def write_lines(path: Path, lines: int, tokens: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for at in range(lines):
            body = {
                "model": "any",
                "messages": [{"role": "user", "content": question(at)}],
                "temperature": 0,
                "repetition_penalty": 1,  # as the bare pipeline, whatever the catalogue has
                "max_tokens": length(at, tokens),
            }
            line = {"custom_id": f"line-{at}", "method": "POST", "url": "/v1/chat/completions"}
            file.write(json.dumps({**line, "body": body}) + "\n")


def batch_rate(
    artifact: str, properties: dict[str, str], in_flight: int, lines: int, tokens: int
) -> float:
    """Tokens a second."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        write_lines(source, lines, tokens)
        summary = batch.run(
            source,
            Path(folder) / "out.jsonl",
            artifact,
            BatchOptions(in_flight=in_flight),
            device="cpu",
            runtime="openvino",
            properties=properties,
        )
    assert summary.is_whole
    return summary.tokens_per_s


def prepare(model: str | None, lines: int) -> tuple[str, dict[str, str], list[list[int]]]:
    """The artifact, the properties that aipc chooses for it here, and the prompts' tokens."""
    import aipc

    with aipc.load(model, device="cpu", runtime="openvino") as session:
        prompts = [session.encode(question(at)) for at in range(lines)]
        return session.facts["artifact"], dict(session.facts["properties"]), prompts


def row(name: str, values: Sequence[float], unit: str, digits: int = 1) -> str:
    span = of_median(values)
    return (
        f"{name:34} {span.middle:9.{digits}f} {unit}  "
        f"({span.low:.{digits}f} to {span.high:.{digits}f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", default="128", metavar="N,N…")
    asked = parser.parse_args()
    artifact, properties, prompts = prepare(asked.model, asked.lines)
    print(f"{Path(artifact).name}  {properties}  load {os.getloadavg()[0]:.1f}")
    few = max(asked.lines // ALONE, 1)
    runs: dict[str, Callable[[], float]] = {
        "bare": partial(Bare(artifact, properties, prompts).rate, asked.lines, asked.tokens),
        "alone": partial(batch_rate, artifact, properties, 1, few, asked.tokens),
    }
    batches = [f"batch, {number} in flight" for number in asked.in_flight.split(",")]
    for name, number in zip(batches, map(int, asked.in_flight.split(",")), strict=True):
        runs[name] = partial(batch_rate, artifact, properties, number, asked.lines, asked.tokens)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for at in range(asked.rounds):
        for name in sorted(runs, reverse=bool(at % 2)):
            rates[name].append(runs[name]())
    for name, each in rates.items():
        print(row(name, each, "tokens/s"))
    for name in batches:
        for other in ("bare", "alone"):
            ratios = [a / b for a, b in zip(rates[name], rates[other], strict=True)]
            print(row(f"{name} / {other}", ratios, "", 3))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
