from __future__ import annotations

import json
from pathlib import Path

from aipc.artifact import manifest

ARTIFACT, CHECKPOINT = "org--tiny--main-openvino-int4", "org--tiny--main"


def damage(home: Path) -> None:
    (home / "artifacts" / ARTIFACT / "model.safetensors").write_bytes(b"x" + b"w" * 1_499_999)


def test_a_sound_store(aipc, filled_store: Path) -> None:
    outcome = aipc("verify")
    assert outcome.status == 0
    assert outcome.stdout == f"{CHECKPOINT}: sound\n{ARTIFACT}: sound\n"


def test_a_changed_file_is_found_and_named(aipc, filled_store: Path) -> None:
    damage(filled_store)
    outcome = aipc("verify")
    assert outcome.status == 1
    lines = outcome.stdout.splitlines()
    assert lines[:2] == [f"{CHECKPOINT}: sound", f"{ARTIFACT}: damaged"]
    assert lines[2].startswith("  model.safetensors: ")
    assert f"aipc rm {ARTIFACT}" in outcome.stderr


def test_what_was_compiled_is_read_too(aipc, filled_store: Path) -> None:
    blob = filled_store / "blobs" / "abc"
    blob.mkdir(parents=True)
    (blob / "model.blob").write_bytes(b"compiled")
    manifest.write(blob, "blob", "abc", {})
    assert aipc("verify").stdout.endswith("cache/abc: sound\n")
    (blob / "model.blob").write_bytes(b"Compiled")
    outcome = aipc("verify")
    assert outcome.status == 1
    assert "cache/abc: damaged\n  model.blob: its contents changed" in outcome.stdout
    assert "`aipc cache prune --all`" in outcome.stderr
    assert "aipc rm" not in outcome.stderr


def test_only_what_was_named_is_read(aipc, filled_store: Path) -> None:
    damage(filled_store)
    outcome = aipc("verify", CHECKPOINT, "--json")
    assert outcome.status == 0
    assert json.loads(outcome.stdout) == [{"name": CHECKPOINT, "problems": []}]


def test_json_has_the_problems_too(aipc, filled_store: Path) -> None:
    damage(filled_store)
    outcome = aipc("verify", "--json")
    assert outcome.status == 1
    problems = {entry["name"]: entry["problems"] for entry in json.loads(outcome.stdout)}
    assert problems[CHECKPOINT] == []
    assert "model.safetensors" in problems[ARTIFACT][0]


def test_an_unknown_name(aipc) -> None:
    outcome = aipc("verify", "nothing")
    assert outcome.status == 1
    assert "no 'nothing'" in outcome.stderr


def test_what_is_too_broken_to_be_listed_is_found_too(aipc, filled_store: Path) -> None:
    """`aipc models` shows only what is whole; who verifies wants to hear of the rest."""
    artifact = filled_store / "artifacts" / ARTIFACT
    (artifact / "model.safetensors").write_bytes(b"w")
    (filled_store / "checkpoints" / CHECKPOINT / "aipc.json").write_text("{")
    outcome = aipc("verify")
    assert outcome.status == 1
    assert f"{CHECKPOINT}: damaged" in outcome.stdout
    assert "no usable aipc.json" in outcome.stdout
    assert f"{ARTIFACT}: damaged" in outcome.stdout


def test_a_damaged_folder_is_never_told_to_be_removed_by_its_name(
    aipc, filled_store: Path, monkeypatch
) -> None:
    damage(filled_store)
    monkeypatch.chdir(filled_store / "artifacts")
    outcome = aipc("verify", f"./{ARTIFACT}")
    assert outcome.status == 1
    assert f"{filled_store / 'artifacts' / ARTIFACT}: damaged" in outcome.stdout
    assert "aipc rm" not in outcome.stderr
