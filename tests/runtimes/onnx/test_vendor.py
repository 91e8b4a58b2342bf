"""A folder as the vendor's model builder leaves it, through the whole of aipc."""

from __future__ import annotations

import json

import pytest

from aipc.session.loading import load

pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")


@pytest.fixture
def builders_folder(tiny_onnx):
    """The builder writes no config.json and no generation_config.json."""
    folder = tiny_onnx("llama-gqa")[0]
    for name in ("config.json", "generation_config.json"):
        (folder / name).unlink(missing_ok=True)
    file = folder / "genai_config.json"
    config = json.loads(file.read_text())
    config["search"] |= {"diversity_penalty": 0.0, "early_stopping": True, "max_length": 128}
    file.write_text(json.dumps(config))
    return folder


def test_it_runs_unchanged(builders_folder):
    before = {file.name: file.stat().st_mtime_ns for file in builders_folder.iterdir()}
    with load(str(builders_folder), device="cpu", runtime="onnx") as session:
        assert session.facts["runtime"] == "onnx"
        assert session.context == 128
        reply = session.generate("Hello", max_new_tokens=5)
        assert reply.usage.completion_tokens in range(1, 6)
    assert {file.name: file.stat().st_mtime_ns for file in builders_folder.iterdir()} == before


def test_its_own_stop_ids_count(builders_folder):
    with load(str(builders_folder), device="cpu") as session:
        greedy = session.generate("Hello", max_new_tokens=12)
    file = builders_folder / "genai_config.json"
    config = json.loads(file.read_text())
    config["model"]["eos_token_id"] = [greedy.tokens[2]]
    file.write_text(json.dumps(config))
    with load(str(builders_folder), device="cpu") as session:
        reply = session.generate("Hello", max_new_tokens=12)
    assert reply.finish_reason == "stop"
    assert reply.tokens == greedy.tokens[: greedy.tokens.index(greedy.tokens[2]) + 1]
