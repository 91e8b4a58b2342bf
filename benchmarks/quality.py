"""How far an artifact strays from the float model that it was made from.

    python benchmarks/quality.py REFERENCE FOLDER [--tokens 20480] [--window 512] [--json OUT]

REFERENCE is the folder of the float (fp16) conversion by aipc; its answers are computed once and
kept beside it.  FOLDER holds openvino_model.xml, model.onnx or model.gguf and is run by the
interpreter's own runtime for it (scorers.py).  Found of it: mean KL divergence of the next-token
distribution from the reference's in nats with its standard error over windows, share of positions
where both think the same token likeliest, and perplexity.  Half of the tokens are prose
(text/prose.txt: Carroll's Alice, public domain), half legal text (text/legal.txt: the GPL);
nothing here is calibrated on either.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scorers import OpenVino, open_scorer
from tokenizers import Tokenizer

TEXTS = Path(__file__).parent / "text"
NAMES = ("legal.txt", "prose.txt")  # the shorter first
ROWS = 16
"""Positions compared at a time: what fits the cache."""


@dataclass(frozen=True)
class Score:
    kl: float
    kl_error: float
    kl_by_text: dict[str, float]
    same_top: float
    perplexity: float


def read_windows(folder: Path, tokens: int, length: int) -> dict[str, np.ndarray]:
    """int64 [windows, length] of each text, its share of ``tokens`` or all that it has."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found, left = {}, tokens // length
    for name in NAMES:
        text = (TEXTS / name).read_text("utf-8")
        ids = np.array(tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
        count = min(len(ids) // length, left // (len(NAMES) - len(found)))
        found[name] = ids[: count * length].reshape(count, length)
        left -= count
    return found


def reference(folder: Path, windows: np.ndarray) -> np.ndarray:
    """The float model's log-probabilities as float16 [windows, tokens, vocabulary], cached.

    Float16 is good to 1e-3 where a token is likely, which moves a mean KL by about 1e-6.
    """
    key = hashlib.sha256(windows.tobytes()).hexdigest()[:16]
    path = folder / f"reference-{key}.npy"
    if not path.exists():
        scorer, draft = OpenVino(folder), path.with_suffix(".part")
        shape = (*windows.shape, scorer(windows[0]).shape[-1])
        kept = np.lib.format.open_memmap(draft, "w+", np.float16, shape)
        for i, window in enumerate(windows):
            kept[i] = log_softmax(scorer(window))
        kept.flush()
        draft.rename(path)
    return np.load(path, mmap_mode="r")


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def score(folder: Path, texts: dict[str, np.ndarray], truth: np.ndarray) -> Score:
    windows = np.concatenate(list(texts.values()))
    scorer = open_scorer(folder, windows.shape[1])
    rows = np.array([compare(scorer(w), truth[i], w) for i, w in enumerate(windows)])
    kinds = np.repeat(list(texts), [len(w) for w in texts.values()])
    kl = rows[:, 0]
    return Score(
        kl=float(kl.mean()),
        kl_error=float(kl.std(ddof=1) / np.sqrt(len(kl))),
        kl_by_text={name: float(kl[kinds == name].mean()) for name in texts},
        same_top=float(rows[:, 1].mean()),
        perplexity=float(np.exp(rows[:, 2].mean())),
    )


def compare(logits: np.ndarray, truth: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Mean KL, share of equal top tokens, and mean negative log-likelihood of one window."""
    found = [position(logits[i : i + ROWS], truth[i : i + ROWS], window[i + 1 : i + 1 + ROWS])
             for i in range(0, len(window), ROWS)]  # fmt: skip
    return np.array([np.concatenate(part).mean() for part in zip(*found, strict=True)])


def position(
    logits: np.ndarray, truth: np.ndarray, following: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """KL, equality of the top tokens, and loss of the following token, position by position."""
    ours, truth = log_softmax(logits), truth.astype(np.float32)
    kl = np.einsum("tv,tv->t", np.exp(truth), truth - ours)
    same = ours.argmax(axis=-1) == truth.argmax(axis=-1)
    return kl, same, -ours[np.arange(len(following)), following]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=20_480)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    texts = read_windows(asked.reference, asked.tokens, asked.window)
    truth = reference(asked.reference, np.concatenate(list(texts.values())))
    found = score(asked.folder, texts, truth)
    print(f"{asked.folder.name:36} KL {found.kl:.4f} ± {found.kl_error:.4f}, same top token "
          f"{found.same_top:.1%}, perplexity {found.perplexity:.2f}", flush=True)  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps(asdict(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
