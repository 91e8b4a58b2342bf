from __future__ import annotations

import json
from pathlib import Path

from aipc.artifact import manifest
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
    assert Path(artifact["path"], "model.safetensors").is_file()


def test_what_artifacts_lost_and_where_that_is_from(aipc, filled_store: Path) -> None:
    stated = {"kl": 0.0047, "same_top": 0.95, "tokens": 512, "measured": True}
    for name, quality in (
        ("measured", stated),
        ("expected", stated | {"kl": 0.4814, "measured": False}),
        ("damaged", "good"),
        ("a" * 70, stated),
    ):
        folder = filled_store / "artifacts" / name
        folder.mkdir()
        (folder / "weights").write_bytes(b"w")
        manifest.write(folder, "artifact", name, {"quality": quality})
    outcome = aipc("models")
    lines = outcome.stdout.splitlines()
    losses = {line.split()[-1]: line.split()[-2] for line in lines}
    assert losses["ARTIFACT"] == "KL"
    assert losses["measured"] == "0.0047"
    assert losses["expected"] == "~0.48"
    assert losses["damaged"].startswith("20")  # the day: nothing is said of it
    assert max(map(len, lines + outcome.stderr.splitlines())) <= 100
    assert "--check" in outcome.stderr
    told = {one["name"]: one["facts"] for one in json.loads(aipc("models", "--json").stdout)}
    assert told["measured"]["quality"] == stated


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
