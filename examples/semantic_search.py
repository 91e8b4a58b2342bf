"""Find the passages of text files that answer a question, by what they mean.

python examples/semantic_search.py QUESTION FILE... [--model MODEL] [--reranker MODEL] [--top N]

Passages are the paragraphs of the files.  All are embedded; of the nearest ones the reranker, if
there is one, reads each together with the question.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import aipc

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
CANDIDATES = 20
"""Of the nearest passages so many are left to the reranker."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--reranker", default="")
    parser.add_argument("--top", type=int, default=3)
    given = parser.parse_args()
    texts = [file.read_text("utf-8") for file in given.files]
    passages = [one.strip() for text in texts for one in text.split("\n\n") if one.strip()]
    found = nearest(given.model, given.question, passages)
    if given.reranker:
        with aipc.reranker(given.reranker) as model:
            candidates = [passage for _, passage in found[:CANDIDATES]]
            ranks = model.rank(given.question, candidates)
        found = [(one.score, candidates[one.index]) for one in ranks]
    for score, passage in found[: given.top]:
        print(f"{score:.3f}  {' '.join(passage.split())}")


def nearest(model_name: str, question: str, passages: list[str]) -> list[tuple[float, str]]:
    """The passages with their cosines, the nearest first."""
    with aipc.embedder(model_name) as model:
        vectors = model.embed(passages, prompt="document", truncate=True)
        (query,) = model.embed([question], prompt="query", truncate=True)
    return sorted(zip((vectors @ query).tolist(), passages, strict=True), reverse=True)


if __name__ == "__main__":
    main()
