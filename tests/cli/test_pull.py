from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from aipc.artifact import manifest


def test_it_prints_where_the_model_is(aipc, monkeypatch) -> None:
    seen = []

    def pull(name: str, *, progress, notify) -> Path:
        seen.append(name)
        notify("fetching it")
        return Path("store/it")

    monkeypatch.setattr("aipc.session.pull.pull", pull)
    outcome = aipc("pull", "phi-3-mini")
    assert seen == ["phi-3-mini"]
    assert outcome.stdout.strip() == str(Path("store/it"))
    assert outcome.stderr == "fetching it\n"


def test_an_unknown_name_is_one_line(aipc) -> None:
    outcome = aipc("pull", "phi-3-mni")
    assert outcome.status == 1
    assert outcome.stderr.startswith("aipc: no model is called 'phi-3-mni'")
    assert "'phi-3-mini'" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_from_a_mirror_by_the_hash_that_models_shows(aipc, filled_store, tmp_path, monkeypatch):
    name = "org--tiny--main-openvino-int4"
    theirs = filled_store.rename(tmp_path / "theirs")
    sha256 = hashlib.sha256((theirs / "artifacts" / name / manifest.FILE).read_bytes()).hexdigest()
    outcome = aipc("pull", name, "--from", str(theirs), "--sha256", "0" * 64)
    assert outcome.status == 1
    assert "not the one given" in outcome.stderr
    outcome = aipc("pull", name, "--from", str(theirs), "--sha256", sha256)
    assert outcome.stdout == f"{tmp_path / 'home' / 'artifacts' / name}\n"
    assert f"copying {name}" in outcome.stderr
    (entry,) = json.loads(aipc("models", "--json").stdout)
    assert entry["manifest_sha256"] == sha256
    assert aipc("verify").stdout == f"{name}: sound\n"


@pytest.mark.parametrize(
    ("flags", "named"),
    [(["--for", "npu"], "--for"), (["--sha256", "0"], "--sha256"), (["--asym"], "a recipe")],
)
def test_what_says_which_artifact_is_meant_needs_a_mirror(aipc, flags, named) -> None:
    outcome = aipc("pull", "phi-3-mini", *flags)
    assert outcome.status == 2
    assert named in outcome.stderr
    assert "--from" in outcome.stderr
