from __future__ import annotations

import json
from pathlib import Path

from aipc.models.names import CATALOGUE


def test_the_store_as_a_table(aipc, filled_store: Path) -> None:
    outcome = aipc("models")
    lines = outcome.stdout.splitlines()
    assert [line.split()[-1] for line in lines] == [
        "CHECKPOINT",
        "org--tiny--main",
        "ARTIFACT",
        "org--tiny--main-openvino-int4",
    ]
    assert lines[1].startswith("1.5 MB  20")
    assert outcome.stderr == f"3.0 MB in {filled_store}\n"


def test_the_store_as_json(aipc, filled_store: Path) -> None:
    checkpoint, artifact = json.loads(aipc("models", "--json").stdout)
    assert checkpoint["kind"] == "checkpoint"
    assert artifact["nbytes"] == 1_500_000
    assert artifact["facts"] == {"recipe": {"weight_format": "int4"}}
    assert Path(artifact["path"], "weights").is_file()


def test_an_empty_store_says_where_it_is_and_what_to_do(aipc, tmp_path: Path) -> None:
    outcome = aipc("models")
    assert (outcome.status, outcome.stdout) == (0, "")
    assert str(tmp_path / "home") in outcome.stderr
    assert "--available" in outcome.stderr
    assert aipc("models", "--json").stdout == "[]\n"


def test_the_short_names(aipc) -> None:
    outcome = aipc("models", "--available")
    lines = outcome.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    for name, model in CATALOGUE.items():
        (line,) = [line for line in lines if line.split()[0] == name]
        assert f"{model.context:,}" in line
    assert CATALOGUE.default.name in outcome.stderr


def test_the_short_names_as_json(aipc) -> None:
    told = json.loads(aipc("models", "--available", "--json").stdout)
    assert [model["name"] for model in told] == list(CATALOGUE)
    assert all(model["licence"] and model["nbytes"] for model in told)
