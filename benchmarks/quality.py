"""How far an artifact strays from the float model that it was made from.

    python benchmarks/quality.py REFERENCE FOLDER [--tokens 20480] [--window 512] [--json OUT]

What `aipc eval` finds, for artifacts of the peers too, and with numerics pinned.  REFERENCE is the
folder of the float (fp16) conversion by aipc; its answers are computed once and kept beside it.
FOLDER holds openvino_model.xml, model.onnx or model.gguf and is run by the interpreter's own
runtime for it (scorers.py).  Half of the tokens are prose, half legal text
(aipc.measure.quality.passages); each window is read from its own beginning.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # a peer's interpreter lacks aipc
from scorers import OpenVINOScorer, open_scorer
from tokenizers import Tokenizer

from aipc.measure.quality.divergence import compare
from aipc.measure.quality.passages import Window, cut_ids, read_passages
from aipc.measure.quality.reference import compute_logprobs, find_logprobs
from aipc.runtimes.openvino.scorer import EXACT


@dataclass(frozen=True)
class Score:
    kl: float
    kl_error: float
    kl_by_text: dict[str, float]
    same_top: float
    perplexity: float


def read_windows(folder: Path, tokens: int, length: int) -> dict[str, list[Window]]:
    """Whole windows of each text, its share of ``tokens`` or all that it has."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    passages, found, left = read_passages(), {}, tokens // length
    for passage in passages:
        ids = tokenizer.encode(passage.text, add_special_tokens=False).ids
        count = min(len(ids) // length, left // (len(passages) - len(found)))
        found[passage.name] = list(cut_ids(ids, count * (length - 1), length, 0))
        left -= count
    return found


def reference(folder: Path, windows: list[Window]) -> np.ndarray:
    """The float model's log-probabilities float16 [places, vocabulary], kept beside it."""
    ids = json.dumps([window.ids for window in windows])
    key = f"reference-{hashlib.sha256(ids.encode()).hexdigest()[:16]}"
    kept = find_logprobs(folder, key)
    if kept is None:
        kept = compute_logprobs(folder, key, OpenVINOScorer(folder, "cpu", EXACT), windows)
    return kept


def score(folder: Path, texts: dict[str, list[Window]], truth: np.ndarray) -> Score:
    windows = list(chain.from_iterable(texts.values()))
    places = compare(open_scorer(folder, len(windows[0].ids)), windows, truth)
    kl = places.kl.reshape(len(windows), -1).mean(axis=1)
    texts_of = np.repeat(list(texts), [len(found) for found in texts.values()])
    return Score(
        kl=float(kl.mean()),
        kl_error=float(kl.std(ddof=1) / np.sqrt(len(kl))),
        kl_by_text={name: float(kl[texts_of == name].mean()) for name in texts},
        same_top=float((places.rank < 1).mean()),
        perplexity=float(np.exp(places.loss.mean())),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=20_480)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    texts = read_windows(asked.reference, asked.tokens, asked.window)
    truth = reference(asked.reference, list(chain.from_iterable(texts.values())))
    found = score(asked.folder, texts, truth)
    print(f"{asked.folder.name:36} KL {found.kl:.4f} ± {found.kl_error:.4f}, same top token "
          f"{found.same_top:.1%}, perplexity {found.perplexity:.2f}", flush=True)  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps(asdict(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
