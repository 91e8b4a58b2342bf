from __future__ import annotations

import json

import pytest
from tiny_encoder import write_reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_reader(tmp_path_factory.mktemp("models") / "e5", "bert", modules=["Pooling"])


def test_a_vector_is_a_line_of_json(aipc, folder) -> None:
    outcome = aipc("embed", "a b", "c", "-m", str(folder))
    assert outcome.status == 0, outcome.stderr
    vectors = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [len(vector) for vector in vectors] == [32, 32]
    piped = aipc("embed", "-m", str(folder), stdin="a b\n\nc\n")
    assert [json.loads(line) for line in piped.stdout.splitlines()] == [
        pytest.approx(vector, abs=1e-5) for vector in vectors
    ]


def test_a_text_that_is_too_long_is_refused_or_cut_and_told(aipc, folder) -> None:
    refused = aipc("embed", "a " * 50, "-m", str(folder))
    assert refused.status == 1
    assert "a text has 52 tokens, the model takes 38" in refused.stderr
    cut = aipc("embed", "a " * 50, "-m", str(folder), "--truncate")
    assert (cut.status, len(cut.stdout.splitlines())) == (0, 1)
    assert "1 text cut to the model's 38 tokens" in cut.stderr


def test_what_is_missing_is_said(aipc, folder) -> None:
    outcome = aipc("embed", "a")
    assert outcome.status == 2
    assert "no model was named; write `aipc embed TEXT -m MODEL`" in outcome.stderr
    outcome = aipc("embed", "-m", str(folder), stdin="")
    assert outcome.status == 2
    assert "there is no text" in outcome.stderr
