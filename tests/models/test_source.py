from __future__ import annotations

import re

import pytest

from aipc.errors import ModelNotFound
from aipc.models.source import (
    ArtifactSource,
    FolderSource,
    GgufSource,
    HubSource,
    WheelSource,
    describe,
)

WHEEL = WheelSource("dist", "1.0", "ab" * 32, 10, "dist/model.gguf", 20)


def test_a_commit_is_shortened_in_names():
    source = HubSource("org/model", "0123456789abcdef" * 2 + "01234567")
    assert source.name == "org--model--0123456789ab"


def test_revisions_that_a_file_system_would_confuse_get_different_names():
    revisions = ["v1", "V1", "refs/pr/1", "refs-pr-1", "refs/PR/1", "v1 "]
    names = {HubSource("org/model", revision).name.lower() for revision in revisions}
    assert len(names) == len(revisions)


@pytest.mark.parametrize("revision", ["main", "refs/pr/1", "Ünïcode", "a" * 300, "CON", "x/../y"])
def test_names_are_safe_as_file_names(revision):
    assert re.fullmatch(r"[A-Za-z0-9._@-]{1,200}", HubSource("org/model", revision[:120]).name)
    assert re.fullmatch(r"[A-Za-z0-9._@-]+", WHEEL.name)


def test_local_files_that_changed_are_another_model(tmp_path):
    file = tmp_path / "My Model.gguf"
    file.write_bytes(b"GGUF")
    before = GgufSource(file).name
    assert before.startswith("my-model-")
    assert GgufSource(file).name == before
    file.write_bytes(b"GGUF2")
    assert GgufSource(file).name != before


def test_a_gguf_in_parts_is_named_by_all_of_them(tmp_path):
    first, second = (tmp_path / f"m-0000{part}-of-00002.gguf" for part in (1, 2))
    for path in (first, second):
        path.write_bytes(b"GGUF")
    before = GgufSource(first).name
    second.write_bytes(b"GGUF2")
    assert GgufSource(first).name != before


def test_a_folder_is_named_by_what_is_in_it(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = FolderSource(tmp_path).name
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert FolderSource(tmp_path).name != before
    assert ArtifactSource(tmp_path).name == FolderSource(tmp_path).name


def test_a_file_that_is_gone_has_no_name(tmp_path):
    with pytest.raises(ModelNotFound, match="can't read"):
        _ = GgufSource(tmp_path / "gone.gguf").name


def test_facts_are_plain_json(tmp_path):
    assert describe(GgufSource(tmp_path / "m.gguf")) == {
        "kind": "gguf",
        "path": str(tmp_path / "m.gguf"),
    }
    assert describe(WHEEL)["kind"] == "wheel"
    assert describe(WHEEL)["sha256"] == "ab" * 32
