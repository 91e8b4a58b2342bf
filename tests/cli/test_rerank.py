from __future__ import annotations

import json

import pytest
from tiny_encoder import write_reader

LINES = ["x y", "a b c", "the letters"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_reader(tmp_path_factory.mktemp("models") / "ranker", "bert-score")


def test_lines_are_printed_by_falling_score(aipc, folder, tmp_path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES))
    outcome = aipc("rerank", "q r", str(file), "-m", str(folder))
    assert outcome.status == 0, outcome.stderr
    rows = [line.split("  ", 1) for line in outcome.stdout.splitlines()]
    assert sorted(text for _, text in rows) == sorted(LINES)
    scores = [float(score) for score, _ in rows]
    assert scores == sorted(scores, reverse=True)
    piped = aipc(
        "rerank", "q r", "-m", str(folder), "--json", "--top-n", "1", stdin=file.read_text()
    )
    (best,) = map(json.loads, piped.stdout.splitlines())
    assert (best["text"], LINES[best["index"]]) == (rows[0][1], rows[0][1])


def test_what_is_missing_is_said(aipc, folder) -> None:
    outcome = aipc("rerank", "q", "none.txt")
    assert (outcome.status, "no model was named" in outcome.stderr) == (2, True)
    outcome = aipc("rerank", "q", "none.txt", "-m", str(folder))
    assert (outcome.status, "'none.txt' can't be read" in outcome.stderr) == (2, True)
    outcome = aipc("rerank", "q", "-m", str(folder), stdin="\n")
    assert (outcome.status, "there are no documents" in outcome.stderr) == (2, True)
