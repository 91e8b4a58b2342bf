"""One folder's scores on a device against the CPU's, for a prompt at once and token by token."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from aipc.choose.canary import PROMPTS
from aipc.generate import TextPipeline
from aipc.measure.quality.divergence import log_softmax
from aipc.runtimes.base import Decoding
from aipc.runtimes.onnx.runtime import ONNXRuntime

GREEDY_TOKENS = 64
MOST_KL, LEAST_AGREEMENT = 0.01, 0.9
"""Nats, and the share of places with the CPU's likeliest token: what is wrong is far beyond both.
Rounding to float16 alone costs about 1e-5 nats, and near-ties one place in a hundred."""
HEADER = ("tokens", "largest difference", "mean KL, nats", "same likeliest", "how")


def compare(folder: Path, device: str, lengths: Sequence[int]) -> dict[str, Any]:
    """Both open the same folder, one after the other, so that only the arithmetic differs."""
    tokenizer = TextPipeline.read(folder).tokenizer
    prose = files("aipc.measure.quality").joinpath("prose.txt").read_text("utf-8")
    ids = tokenizer.encode(prose, add_special_tokens=False)
    texts = [ids[:length] for length in lengths]
    starts = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in PROMPTS]
    runtime = ONNXRuntime()
    engine = runtime.open(folder, device, {})
    found = [whole(engine, text) for text in texts]
    answers = [list(engine.start(start, Decoding(GREEDY_TOKENS), frozenset())) for start in starts]
    placement = engine.facts.get("placement")
    engine.close()
    reference = runtime.open(folder, "cpu", {})
    rows = [row(scores, whole(reference, text), "prompt")
            for text, scores in zip(texts, found, strict=True)]  # fmt: skip
    rows += [greedy(reference, start, made) for start, made in zip(starts, answers, strict=True)]
    reference.close()
    notes = [f"nodes by provider: {placement}"]
    notes += [f"{prompt!r} goes on: {tokenizer.decode(made)!r}"
              for prompt, made in zip(PROMPTS, answers, strict=True)]  # fmt: skip
    return {"wrong": verdict(rows), "tables": [table(rows, folder)], "notes": notes}


def whole(engine: Any, ids: Sequence[int]) -> np.ndarray:
    """Scores [tokens, vocabulary]."""
    return np.concatenate([piece.copy() for piece in engine.scores(ids)])


def row(ours: np.ndarray, theirs: np.ndarray, how: str) -> tuple[Any, ...]:
    """As `HEADER`; ``theirs`` are the CPU's scores at the same places."""
    first, second = log_softmax(ours.copy()), log_softmax(theirs.copy())
    kl = float(np.einsum("tv,tv->t", np.exp(second), second - first).mean())
    same = float((ours.argmax(-1) == theirs.argmax(-1)).mean())
    return len(ours), float(np.abs(ours - theirs).max()), kl, same, how


def greedy(reference: Any, start: Sequence[int], made: Sequence[int]) -> tuple[Any, ...]:
    """The device's own greedy answer, judged by the CPU at every token of it."""
    scores = whole(reference, [*start, *made[:-1]])[len(start) - 1 :]
    same = float((scores.argmax(-1) == np.array(made)).mean())
    return len(made), None, None, same, "token by token"


def verdict(rows: Sequence[tuple[Any, ...]]) -> str:
    """What is wrong; empty where nothing is."""
    for tokens, _, kl, same, how in rows:
        if kl is not None and not kl <= MOST_KL:  # what is no number is wrong as well
            return f"{how} of {tokens}: {kl:.3g} nats from the CPU"
        if same < LEAST_AGREEMENT:
            return f"{how}, {tokens} tokens: {same:.0%} are the CPU's"
    return ""


def table(rows: Sequence[tuple[Any, ...]], folder: Path) -> dict[str, Any]:
    def short(number: float | None) -> str | None:
        return None if number is None else f"{number:.2g}"

    written = [
        [tokens, short(difference), short(kl), f"{same:.1%}", how]
        for tokens, difference, kl, same, how in rows
    ]
    return {"title": f"{folder.name} against the CPU", "header": HEADER, "rows": written}
