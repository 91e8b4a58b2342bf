"""What Ray costs a batch: one node against no Ray, and the parts of a cluster's growth.

    python benchmarks/batch_ray.py [MODEL] [--lines 500] [--tokens 48] [--rounds 3]
                                   [--merged 100000]

"plain" is `aipc.batch.run`, "ray" the same with Ray started here, in turn; both in processes of
their own.  "answering" is from when the model was loaded until the last answer was kept, "whole"
from the call to the return: with Ray its start, an actor's and the end of all are in it.  Further:
what a line and an answer weigh on their way, what an actor takes to start, and how long the answers
of so many ``--merged`` lines take from shards into OUT.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from aipc import batch
from aipc.batch.answers import new_answer
from aipc.batch.input.lines import check_input
from aipc.batch.output import claimed
from aipc.batch.partial import PartialFile
from aipc.batch.run_key import RunKey

CHAT = "/v1/chat/completions"
SHARD = 32


def write_input(path: Path, model: str, lines: int, tokens: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for at in range(lines):
            question = f"List animals of region {at}, and say a word about each."
            body = {
                "model": model,
                "max_tokens": tokens - at * 7919 % (tokens // 2 + 1),
                "ignore_eos": True,
                "messages": [{"role": "user", "content": question}],
            }
            line = {"custom_id": f"line-{at}", "method": "POST", "url": CHAT, "body": body}
            file.write(json.dumps(line) + "\n")


def one_run(source: str, out: str, model: str, ray: str) -> dict[str, Any]:
    """The measures of one run, in the process that was made for it."""
    reports: list[Any] = []
    if ray:
        from aipc.batch.ray import dataset

        whole = dataset.ClusterDataset.reports

        def noted(*arguments: Any) -> Any:
            for report in whole(*arguments):
                reports.append(report)
                yield report

        dataset.ClusterDataset.reports = noted
    started = time.time()
    done_at = 0.0

    def show_counts(counts: Any) -> None:
        nonlocal done_at
        if not counts.left:
            done_at = done_at or time.time()

    summary = batch.run(source, out, model, device="cpu", ray=ray or None, show_counts=show_counts)
    told = next((one for one in reports if one is not None), None)
    answering = done_at - told.ready_at if told else summary.seconds
    return {
        "answering": answering,
        "whole": time.time() - started,
        "tokens": summary.generated,
        "actor": told.started_s if told else 0.0,
        "out": Path(out).stat().st_size,
    }


def in_turn(model: str, lines: int, tokens: int, rounds: int) -> None:
    found: dict[str, list[dict[str, Any]]] = {"plain": [], "ray": []}
    with TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        write_input(source, model, lines, tokens)
        for number in range(rounds):
            for kind in ("plain", "ray") if number % 2 == 0 else ("ray", "plain"):
                out = str(Path(folder) / f"{kind}-{number}.jsonl")
                where = "here" if kind == "ray" else ""
                command = [sys.executable, __file__, "--run", str(source), out, model, where]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[kind].append(json.loads(done.stdout.splitlines()[-1]))
                print(kind, found[kind][-1], flush=True)
        size = source.stat().st_size
    for name in ("answering", "whole"):
        ratios = [b[name] / a[name] for a, b in zip(found["plain"], found["ray"], strict=True)]
        plain, ray = (median(one[name] for one in found[kind]) for kind in ("plain", "ray"))
        print(f"{name}: plain {plain:.1f} s, ray {ray:.1f} s, ratio {median(ratios):.3f}")
    print(f"actor: ready after {median(one['actor'] for one in found['ray']):.1f} s")
    print(f"a line {size / lines:.0f} bytes, its answer {found['ray'][0]['out'] / lines:.0f}")


def merge(lines: int) -> None:
    """From shards on this disk into OUT, in order."""
    from aipc.batch.ray.shards import AnswerShards

    with TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        write_input(source, "m", lines, 48)
        checked = check_input(source)
        key = RunKey(checked.sha256)
        shards = AnswerShards(f"{out}.shards")
        shards.begin(key)
        body = {"choices": [{"message": {"content": "word " * 48}}], "usage": {"total_tokens": 96}}
        for start in range(0, lines, SHARD):
            ids = range(start, min(start + SHARD, lines))
            shards.write([new_answer(f"line-{at}", body, "req") for at in reversed(ids)])
        started = time.perf_counter()
        with claimed(out):
            kept = PartialFile(out, key, checked.entries)
            for name in shards.names():
                for answer in shards.read(name):
                    kept.append(answer)
            read = time.perf_counter() - started
            kept.finish(ordered=True)
        whole = time.perf_counter() - started
        size = out.stat().st_size / 1e6
        print(f"merge: {lines} lines, {size:.0f} MB: {read:.1f} s to read, {whole:.1f} s in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--merged", type=int, default=100_000)
    chosen = parser.parse_args()
    if chosen.merged:
        merge(chosen.merged)
    if chosen.rounds:
        in_turn(chosen.model, chosen.lines, chosen.tokens, chosen.rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(one_run(*sys.argv[2:])))
    else:
        main()
