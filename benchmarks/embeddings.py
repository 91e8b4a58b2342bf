"""Texts a second that become vectors: aipc by both runtimes, bare GenAI, sentence-transformers.

    python benchmarks/embeddings.py CHECKPOINT [--python PYTHON] [--rounds N] [--sweep]

CHECKPOINT is a folder of sentence-transformers'; PYTHON an interpreter that has that package,
which is left out without it; with --sweep numbers of tokens at once are compared too.  All take the
same texts, of 5 to 200 words, in turns, in one run: times of another run are not to be compared.
Told is the best round of each.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino_genai

import aipc
from aipc.artifact.sentence_model import read_sentence_model
from aipc.convert.recipe import Recipe

WORDS = Path(__file__).parent.parent.joinpath("docs", "design.md").read_text("utf-8").split()
TEXTS = 128
PEER = """
import json, sys, time
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
texts = json.loads(sys.stdin.readline())
model.encode(texts[:4])
for line in sys.stdin:
    started = time.perf_counter()
    model.encode(texts)
    print(time.perf_counter() - started, flush=True)
"""


def main() -> None:
    given = arguments()
    texts = some_texts()
    candidates: dict[str, Callable[[], float]] = {}
    for recipe in ("fp16", "int8"):
        model = aipc.embedder(given.checkpoint, recipe=Recipe(recipe), notify=lambda _: None)
        candidates[f"aipc {recipe}"] = timed(lambda model=model: model.embed(texts, truncate=True))
        pipeline = bare(Path(model.facts["artifact"]))
        candidates[f"GenAI {recipe}"] = timed(lambda one=pipeline: one.embed_documents(texts))
        other = aipc.embedder(
            given.checkpoint, runtime="onnx", recipe=Recipe(recipe), notify=lambda _: None
        )
        candidates[f"aipc onnx {recipe}"] = timed(
            lambda model=other: model.embed(texts, truncate=True)
        )
    if given.python:
        candidates["sentence-transformers"] = peer(given.python, given.checkpoint, texts)
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(given.rounds):
        for name, run in candidates.items():
            best[name] = min(best[name], run())
    for name, seconds in best.items():
        print(f"{name:24}{TEXTS / seconds:8.1f} texts a second")
    for at_once in (128, 256, 512, 1024, 2048, 4096) if given.sweep else ():
        model._reader._encoder._at_once = at_once  # noqa: SLF001 - what it was chosen by
        seconds = min(candidates["aipc int8"]() for _ in range(given.rounds))
        print(f"aipc int8, {at_once:5} tokens at once{TEXTS / seconds:8.1f} texts a second")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("--python", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sweep", action="store_true")
    return parser.parse_args()


def some_texts() -> list[str]:
    rng = random.Random(1)
    return [" ".join(rng.choices(WORDS, k=rng.randint(5, 200))) for _ in range(TEXTS)]


def timed(work: Callable[[], Any]) -> Callable[[], float]:
    def run() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return run


def bare(folder: Path) -> Any:
    """GenAI's pipeline with the model's own settings, as its page shows it."""
    model, kinds = read_sentence_model(folder), openvino_genai.TextEmbeddingPipeline.PoolingType
    names = {"cls": kinds.CLS, "mean": kinds.MEAN, "lasttoken": kinds.LAST_TOKEN}
    return openvino_genai.TextEmbeddingPipeline(
        folder,
        "CPU",
        pooling_type=names[str(model.modules.pooling)],
        normalize=model.modules.normalized,
        max_length=model.longest,
    )


def peer(python: str, checkpoint: str, texts: list[str]) -> Callable[[], float]:
    child = subprocess.Popen(
        [python, "-c", PEER, checkpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    requests, answers = child.stdin, child.stdout
    print(json.dumps(texts), file=requests, flush=True)

    def run() -> float:
        print(file=requests, flush=True)
        return float(answers.readline())

    return run


if __name__ == "__main__":
    main()
