"""The server against the bare pipeline under it: many streams at once, and one alone.

    python benchmarks/serve.py [MODEL] [--clients 8] [--tokens 128] [--rounds 10]

Both run the same artifact with the same properties and scheduler settings on this CPU, in one
run, in turn; neither computes while the other does.  What is quoted is the median of the rounds'
ratios or differences, with the interval that holds it 19 times in 20.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aipc.measure.statistics import of_median

QUESTION = "List a hundred animals, number {} first, and describe each."
PROMPT_CHUNK = 512  # as aipc.runtimes.openvino.engine has it
TokenQueue = list[list[float]]
"""Seconds after the round's start at which each stream's tokens came."""


class Bare:
    """openvino_genai.ContinuousBatchingPipeline and nothing else."""

    def __init__(self, artifact: str, properties: dict[str, str], prompts: list[list[int]]) -> None:
        import openvino_genai

        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.dynamic_split_fuse = True
        scheduler.max_num_batched_tokens = PROMPT_CHUNK
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            artifact, scheduler, "CPU", properties
        )
        self._prompts = prompts

    def answer(self, clients: int, tokens: int) -> TokenQueue:
        import numpy as np
        import openvino
        import openvino_genai

        config = openvino_genai.GenerationConfig(max_new_tokens=tokens, do_sample=False)
        config.set_eos_token_id(2)
        started = time.perf_counter()
        handles = [
            self._pipeline.add_request(
                number, openvino.Tensor(np.array([prompt], np.int64)), config
            )
            for number, prompt in enumerate(self._prompts[:clients])
        ]
        arrivals: TokenQueue = [[] for _ in handles]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            for handle, times in zip(handles, arrivals, strict=True):
                if handle.can_read():
                    made = sum(len(one.generated_ids) for one in handle.read().values())
                    times.extend([time.perf_counter() - started] * made)
        return arrivals


class Served:
    """``aipc serve`` in a process of its own, asked over HTTP by clients that do no more."""

    def __init__(self, port: int, model: str) -> None:
        self._port = port
        self._model = model

    def answer(self, clients: int, tokens: int) -> TokenQueue:
        streams = [socket.create_connection(("127.0.0.1", self._port)) for _ in range(clients)]
        started = time.perf_counter()
        for number, stream in enumerate(streams):
            stream.sendall(self._request(QUESTION.format(number + 2), tokens))
        return [_tokens(pieces) for pieces in _read_all(streams, started)]

    def _request(self, question: str, tokens: int) -> bytes:
        body = json.dumps(
            {
                "model": self._model,
                "messages": [{"role": "user", "content": question}],
                "temperature": 0,
                "repetition_penalty": 1,  # as the bare pipeline, whatever the catalogue has
                "max_tokens": tokens,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        )
        return (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


Piece = tuple[float, bytes]


def _read_all(streams: list[socket.socket], started: float) -> list[list[Piece]]:
    """What each stream sent until its end, and when; nothing is looked into meanwhile."""
    pieces: list[list[Piece]] = [[] for _ in streams]
    with selectors.DefaultSelector() as selector:
        for stream, own in zip(streams, pieces, strict=True):
            selector.register(stream, selectors.EVENT_READ, own)
        while selector.get_map():
            for key, _ in selector.select():
                piece = key.fileobj.recv(65536)
                key.data.append((time.perf_counter() - started, piece))
                if not piece:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    return pieces


def _tokens(pieces: list[Piece]) -> list[float]:
    """When an answer's tokens came; those that came in one event have one time."""
    answer = b"".join(piece for _, piece in pieces)
    events = [json.loads(line[6:]) for line in answer.split(b"\n") if line[:7] == b"data: {"]
    made = events[-1]["usage"]["completion_tokens"]
    came = [at for at, piece in pieces if b'"content":' in piece.replace(b'"content":""', b"")]
    return [*came, *[pieces[-1][0]] * (made - len(came))][:made]


@contextmanager
def serving(artifact: str, environment: dict[str, str] | None = None) -> Iterator[Served]:
    command = [sys.executable, "-m", "aipc", "serve", "-m", artifact, "--device", "cpu"]
    command += ["--runtime", "openvino"]
    process = subprocess.Popen(
        [*command, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
    )
    try:
        port = 0
        for line in process.stderr or ():
            if line.startswith("page"):
                port = int(line.rpartition(":")[2])
            if "is ready" in line:
                break
        yield Served(port, Path(artifact).name)
    finally:
        process.terminate()
        process.communicate()


def prepare(model: str | None, clients: int) -> tuple[str, dict[str, str], list[list[int]]]:
    """The artifact, the properties that aipc chooses for it here, and the prompts' tokens."""
    import aipc

    with aipc.load(model, device="cpu", runtime="openvino") as session:
        prompts = [
            session.encode([{"role": "user", "content": QUESTION.format(number + 2)}])
            for number in range(clients)
        ]
        return session.facts["artifact"], dict(session.facts["properties"]), prompts


def rate(arrivals: TokenQueue) -> float:
    """Tokens a second of all streams, prompts included."""
    return sum(map(len, arrivals)) / max(times[-1] for times in arrivals)


def gap(arrivals: TokenQueue) -> float:
    """Median milliseconds from a token of the one stream to its next."""
    (times,) = arrivals
    return 1e3 * statistics.median(b - a for a, b in itertools.pairwise(times))


def first(arrivals: TokenQueue) -> float:
    """Milliseconds to the first token of the one stream."""
    return 1e3 * arrivals[0][0]


def rounds(
    both: dict[str, Any], number: int, clients: int, tokens: int
) -> list[dict[str, TokenQueue]]:
    """Either goes first in every second round."""
    return [
        {name: both[name].answer(clients, tokens) for name in sorted(both, reverse=bool(at % 2))}
        for at in range(number)
    ]


def row(name: str, values: Sequence[float], unit: str, digits: int = 1) -> str:
    span = of_median(values)
    return (
        f"{name:34} {span.middle:9.{digits}f} {unit}  "
        f"({span.low:.{digits}f} to {span.high:.{digits}f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    artifact, properties, prompts = prepare(asked.model, asked.clients)
    print(f"{Path(artifact).name}  {properties}  load {os.getloadavg()[0]:.1f}")
    with serving(artifact) as served:
        both = {"bare": Bare(artifact, properties, prompts), "served": served}
        for each in both.values():
            each.answer(asked.clients, 16)  # the first inference is like no other
        many = rounds(both, asked.rounds, asked.clients, asked.tokens)
        single = rounds(both, asked.rounds, 1, asked.tokens)
    for name in both:
        rates = [rate(each[name]) for each in many]
        print(row(f"{name}, {asked.clients} streams", rates, "tokens/s"))
    ratios = [rate(each["served"]) / rate(each["bare"]) for each in many]
    print(row("served / bare", ratios, "", 3))
    for name in both:
        print(row(f"{name}, one stream", [gap(each[name]) for each in single], "ms a token", 2))
    for what, figure in (("a token", gap), ("to the first token", first)):
        added = [figure(each["served"]) - figure(each["bare"]) for each in single]
        print(row(f"added {what}", added, "ms", 2))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
