"""A stream of the server alone, and beside a batch that fills what is left.

    python benchmarks/beside.py [MODEL] [--runtime openvino] [--rounds 5] [--max-beside N …]

For each N a server runs on this CPU, answers a stream alone, gets a batch of 400 long answers, and
answers the same stream beside it: seconds to the first token and tokens a second after it, the
medians of the rounds.  Afterwards, with nobody asking, the batch's own tokens a second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import openai

QUESTION = "Tell me a story about a lighthouse."
LINES, LONG, TOKENS = 400, 200, 64
CHAT = "/v1/chat/completions"
SETTLE_S, WATCH_S = 20.0, 40.0
"""Until a batch has all its places, and in which its tokens are counted."""


@contextmanager
def served(runtime: str, max_beside: int) -> Iterator[openai.OpenAI]:
    command = [sys.executable, "-m", "aipc", "serve", "--port", "0", "--device", "cpu"]
    command += ["--runtime", runtime, "--max-beside", str(max_beside)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        url = next(line.split()[-1] for line in process.stderr if "page" in line)
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=3600) as client:
            yield client
    finally:
        process.terminate()
        process.communicate()


def stream(client: openai.OpenAI, model: str) -> tuple[float, float]:
    """(seconds to the first token, tokens a second after it)."""
    started = time.perf_counter()
    times, made = [], 0
    for chunk in client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=TOKENS,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    ):
        if chunk.choices and chunk.choices[0].delta.content:
            times.append(time.perf_counter())
        made = chunk.usage.completion_tokens if chunk.usage else made
    return times[0] - started, (made - 1) / (times[-1] - times[0])


def submit(client: openai.OpenAI, model: str) -> str:
    limits = {"max_tokens": LONG, "temperature": 0, "ignore_eos": True}
    lines = [
        {
            "custom_id": f"id-{number}",
            "method": "POST",
            "url": CHAT,
            "body": {
                "model": model,
                "messages": [{"role": "user", "content": f"A story about {number}."}],
                **limits,
            },
        }
        for number in range(LINES)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = client.files.create(file=("lines.jsonl", content), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    client.files.delete(file.id)
    return batch.id


def done(client: openai.OpenAI, batch: str) -> int:
    counts = client.batches.retrieve(batch).request_counts
    return counts.completed if counts else 0


def show(what: str, rounds: list[tuple[float, float]]) -> None:
    first, rate = (statistics.median(values) for values in zip(*rounds, strict=True))
    print(f"{what:22} first token {first:6.2f} s   {rate:6.1f} tokens a second", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-beside", type=int, nargs="+", default=[2, 64])
    given = parser.parse_args()
    for most in given.max_beside:
        with served(given.runtime, most) as client:
            stream(client, given.model)
            show("alone", [stream(client, given.model) for _ in range(given.rounds)])
            batch = submit(client, given.model)
            time.sleep(SETTLE_S)
            show(
                f"beside at most {most}", [stream(client, given.model) for _ in range(given.rounds)]
            )
            before, started = done(client, batch), time.perf_counter()
            time.sleep(WATCH_S)
            rate = (done(client, batch) - before) * LONG / (time.perf_counter() - started)
            print(f"{'the batch, then':22} {rate:25.1f} tokens a second", flush=True)
            client.batches.cancel(batch)


if __name__ == "__main__":
    main()
