"""A session against a bare script of the runtime's: the same artifact, options, prompt, one run.

    python benchmarks/session.py [MODEL] [--runtime openvino|onnx] [--tokens 128] [--rounds 16]

Speed is measured in one process with both loaded, loading in processes of their own; either in
turn, and what is quoted is the median of the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

QUESTION = "Write a long story about a lighthouse."


def load_aipc(artifact: str, properties: dict[str, str]) -> Callable[[int], int]:
    import aipc

    session = aipc.load(artifact, device="cpu", properties=properties)
    return lambda tokens: session.generate(QUESTION, max_new_tokens=tokens).usage.completion_tokens


def load_genai(artifact: str, properties: dict[str, str]) -> Callable[[int], int]:
    import openvino_genai

    pipeline = openvino_genai.LLMPipeline(artifact, "CPU", **properties)

    def generate(tokens: int) -> int:
        result = pipeline.generate([QUESTION], max_new_tokens=tokens, streamer=lambda _: False)
        return result.perf_metrics.get_num_generated_tokens()

    return generate


def load_onnx_genai(artifact: str, properties: dict[str, str]) -> Callable[[int], int]:
    import onnxruntime_genai

    config = onnxruntime_genai.Config(artifact)
    session = {name: int(value) for name, value in properties.items()}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    model = onnxruntime_genai.Model(config)
    tokenizer = onnxruntime_genai.Tokenizer(model)
    messages = json.dumps([{"role": "user", "content": QUESTION}])
    prompt = tokenizer.encode(
        tokenizer.apply_chat_template(messages=messages, add_generation_prompt=True)
    )

    def generate(tokens: int) -> int:
        parameters = onnxruntime_genai.GeneratorParams(model)
        parameters.set_search_options(max_length=len(prompt) + tokens, do_sample=False)
        generator, text, count = onnxruntime_genai.Generator(model, parameters), [], 0
        pieces = tokenizer.create_stream()
        generator.append_tokens(prompt)
        while not generator.is_done():
            generator.generate_next_token()
            text.append(pieces.decode(generator.get_next_tokens()[0]))
            count += 1
        return count

    return generate


CONTESTANTS = {"aipc": load_aipc, "genai": load_genai, "onnx-genai": load_onnx_genai}
PEERS = {"openvino": "genai", "onnx": "onnx-genai"}


def load_time(contestant: str, artifact: str, properties: dict[str, str]) -> float:
    """Seconds from the interpreter's first line to a loaded model, in a process of its own."""
    call = [sys.executable, __file__, "--as", contestant, artifact, json.dumps(properties)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def speed(generate: Callable[[int], int], tokens: int) -> float:
    """Tokens a second of one answer, prompt included."""
    started = time.perf_counter()
    return generate(tokens) / (time.perf_counter() - started)


def prepare(model: str | None, runtime: str) -> tuple[str, dict[str, str]]:
    """The artifact's folder, and the properties that aipc chooses for it here."""
    import aipc

    with aipc.load(model, device="cpu", runtime=runtime) as session:
        properties = dict(session.facts["properties"])
        if runtime == "onnx":  # as many threads for the peer, whose own default is half as many
            properties["intra_op_num_threads"] = str(os.cpu_count())
        return session.facts["artifact"], properties


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--runtime", choices=PEERS, default="openvino")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--as", nargs=3, dest="contestant", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contestant:
        started = time.perf_counter()
        name, artifact, properties = asked.contestant
        CONTESTANTS[name](artifact, json.loads(properties))
        print(time.perf_counter() - started)
        return
    artifact, properties = prepare(asked.model, asked.runtime)
    print(f"{Path(artifact).name}  {properties}")
    names = ("aipc", PEERS[asked.runtime])
    compare_speed(names, artifact, properties, asked.tokens, asked.rounds)
    compare_load(names, artifact, properties, asked.rounds)


def compare_speed(
    names: tuple[str, str], artifact: str, properties: dict[str, str], tokens: int, rounds: int
) -> None:
    loaded = {name: CONTESTANTS[name](artifact, properties) for name in names}
    for generate in loaded.values():
        generate(8)  # the first inference repacks the weights
    runs = [{name: speed(loaded[name], tokens) for name in in_turn(names, number)}
            for number in range(rounds)]  # fmt: skip
    show("tokens/s", names, runs)
    ours, theirs = names
    ratios = [run[ours] / run[theirs] for run in runs]
    print(f"{ours} / {theirs}: {statistics.median(ratios):.3f} (pairs {span(ratios)})")


def compare_load(
    names: tuple[str, str], artifact: str, properties: dict[str, str], rounds: int
) -> None:
    runs = [{name: load_time(name, artifact, properties) for name in in_turn(names, number)}
            for number in range(rounds)]  # fmt: skip
    show("s to load", names, runs)
    ours, theirs = names
    extra = [run[ours] - run[theirs] for run in runs]
    print(f"{ours} - {theirs}: {statistics.median(extra):+.3f} s (pairs {span(extra)})")


def in_turn(names: tuple[str, str], number: int) -> list[str]:
    """Either goes first in every second round."""
    return sorted(names, reverse=number % 2 == 1)


def show(unit: str, names: tuple[str, str], runs: list[dict[str, float]]) -> None:
    for name in names:
        print(f"{name:10} {statistics.median(run[name] for run in runs):8.2f} {unit} (median)")


def span(values: list[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


if __name__ == "__main__":
    main()
