from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import pytest

from aipc.artifact import manifest
from aipc.artifact.manifest import FileFacts
from aipc.errors import ArtifactError
from aipc.records import key_of

FACTS = {"source": {"kind": "hub"}, "bits": 4}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "made"
    (made / "sub").mkdir(parents=True)
    (made / "config.json").write_bytes(b"{}")
    (made / "sub" / "weights.bin").write_bytes(b"\1" * 3_000_000)
    return made


def rewrite(folder, **changes):
    table = json.loads((folder / "aipc.json").read_text())
    (folder / "aipc.json").write_text(json.dumps({**table, **changes}))


def test_what_is_written_is_read(folder):
    written = manifest.write(folder, "artifact", "name", FACTS)
    assert manifest.read(folder) == written
    assert written.facts == FACTS
    assert written.nbytes == 3_000_002
    assert dict(written.files) == {
        "config.json": FileFacts(2, hashlib.sha256(b"{}").hexdigest()),
        "sub/weights.bin": FileFacts(3_000_000, hashlib.sha256(b"\1" * 3_000_000).hexdigest()),
    }
    assert manifest.find(folder) == written
    assert manifest.verify(folder) == []


def test_facts_are_replaced_and_nothing_else(folder):
    made = manifest.write(folder, "artifact", "small", {"recipe": {"bits": 4}, "quality": None})
    found = manifest.add_facts(folder, {"quality": {"kl": 0.1}})
    assert (
        found
        == manifest.read(folder)
        == replace(made, facts={**made.facts, "quality": {"kl": 0.1}})
    )
    assert manifest.verify(folder) == []


def test_facts_need_a_manifest(folder):
    with pytest.raises(ArtifactError):
        manifest.add_facts(folder, {"quality": None})
    assert not (folder / manifest.FILE).exists()


@pytest.mark.parametrize("key", ["source", "recipe", "encodings", "notes", "runtime", "target"])
@pytest.mark.parametrize("value", [None, 1, True, 1.5])
def test_facts_that_are_read_have_a_type(folder, key, value):
    manifest.write(folder, "artifact", "small", {})
    rewrite(folder, facts={key: value})
    with pytest.raises(ArtifactError, match=f"its fact '{key}' is of a wrong type"):
        manifest.read(folder)
    assert manifest.find(folder) is None


def test_known_hashes_are_not_worked_out_again(folder):
    known = {"sub/weights.bin": FileFacts(3_000_000, "ab" * 32)}
    written = manifest.write(folder, "artifact", "name", {}, known=known)
    assert written.files["sub/weights.bin"].sha256 == "ab" * 32
    assert written.files["config.json"].sha256 == hashlib.sha256(b"{}").hexdigest()


def test_known_hashes_of_files_that_are_gone_are_left_out(folder):
    written = manifest.write(folder, "artifact", "n", {}, known={"gone": FileFacts(1, "ab" * 32)})
    assert "gone" not in written.files


def test_hashing_reports_bytes(folder):
    reports = []
    manifest.write(folder, "artifact", "n", {}, progress=lambda *report: reports.append(report))
    assert reports[0] == ("checking n", 0, 3_000_002)
    assert reports[-1] == ("checking n", 3_000_002, 3_000_002)


def test_an_empty_folder_is_nothing(tmp_path):
    with pytest.raises(ArtifactError, match="is empty"):
        manifest.write(tmp_path, "artifact", "name", {})


def test_verify_names_every_problem(folder):
    (folder / "tokenizer.json").write_bytes(b"[]")
    (folder / "same-size").write_bytes(b"old")
    manifest.write(folder, "artifact", "name", FACTS)
    (folder / "config.json").unlink()
    (folder / "tokenizer.json").write_bytes(b"[1]")
    (folder / "same-size").write_bytes(b"new")
    (folder / "sub" / "stranger").write_bytes(b"")
    problems = manifest.verify(folder)
    assert [problem.split(":")[0] for problem in problems] == [
        "config.json",
        "tokenizer.json",
        "same-size",
        "sub/stranger",
    ]
    assert problems[0] == "config.json: missing"
    assert problems[1] == "tokenizer.json: 3 bytes, the manifest has 2"
    assert "its contents changed" in problems[2]
    assert problems[3] == "sub/stranger: not in the manifest"


@pytest.mark.parametrize("change", ["missing", "longer", "folder"])
def test_find_sees_what_a_look_can_see(folder, change):
    manifest.write(folder, "artifact", "name", FACTS)
    (folder / "config.json").unlink()
    if change == "longer":
        (folder / "config.json").write_bytes(b"{ }")
    if change == "folder":
        (folder / "config.json").mkdir()
    assert manifest.find(folder) is None


def test_find_leaves_contents_to_verify(folder):
    manifest.write(folder, "artifact", "name", FACTS)
    (folder / "config.json").write_bytes(b"[]")
    assert manifest.find(folder) is not None
    assert len(manifest.verify(folder)) == 1


@pytest.mark.skipif(os.name == "nt", reason="links take a privilege there")
def test_links_are_neither_written_nor_trusted(folder, tmp_path):
    manifest.write(folder, "artifact", "name", FACTS)
    (folder / "sub").rename(tmp_path / "sub")
    (folder / "sub").symlink_to(tmp_path / "sub")
    assert manifest.find(folder) is None
    assert "sub/weights.bin: not a plain file" in manifest.verify(folder)
    with pytest.raises(ArtifactError, match="is a link"):
        manifest.write(folder, "artifact", "name", FACTS)


@pytest.mark.skipif(os.name == "nt", reason="links take a privilege there")
def test_a_manifest_that_is_a_link_is_none(folder, tmp_path):
    manifest.write(folder, "artifact", "name", FACTS)
    (folder / "aipc.json").rename(tmp_path / "aipc.json")
    (folder / "aipc.json").symlink_to(tmp_path / "aipc.json")
    with pytest.raises(ArtifactError, match="it is a link"):
        manifest.read(folder)


def test_no_manifest(folder):
    with pytest.raises(ArtifactError, match=r"no usable aipc.json \(there is none\); make the"):
        manifest.read(folder)
    assert manifest.find(folder) is None
    assert manifest.find(folder / "config.json") is None
    with pytest.raises(ArtifactError):
        manifest.verify(folder)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"schema": ' + b"1" * 5000 + b"}",
        b'"' + b"x" * (9 << 20) + b'"',
    ],
    ids=["empty", "cut", "list", "null", "utf-16", "nested", "number", "huge"],
)
def test_a_manifest_that_is_no_manifest(folder, text):
    (folder / "aipc.json").write_bytes(text)
    with pytest.raises(ArtifactError, match=r"no usable aipc.json") as caught:
        manifest.read(folder)
    assert len(str(caught.value)) < 500
    assert manifest.find(folder) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": "1"},
        {"kind": "model"},
        {"kind": ["artifact"]},
        {"name": 7},
        {"name": "a\u001b[31mb"},
        {"created": None},
        {"created": "yesterday"},
        {"facts": {"source": "org/name"}},
        {"facts": []},
        {"files": []},
        {"files": {}},
        {"files": {"config.json": 2}},
        {"files": {"config.json": {"size": -1, "sha256": "ab" * 32}}},
        {"files": {"config.json": {"size": True, "sha256": "ab" * 32}}},
        {"files": {"config.json": {"size": 2.0, "sha256": "ab" * 32}}},
        {"files": {"config.json": {"size": 2, "sha256": "AB" * 32}}},
        {"files": {"config.json": {"size": 2}}},
        {"kind": "x" * 100_000},
    ],
    ids=str,
)
def test_a_manifest_with_a_wrong_field(folder, changes):
    manifest.write(folder, "artifact", "name", FACTS)
    rewrite(folder, **changes)
    with pytest.raises(ArtifactError) as caught:
        manifest.read(folder)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("is_whole", [True, False])
def test_that_of_another_version_is_told_from_a_damaged_one(folder, is_whole):
    manifest.write(folder, "artifact", "name", FACTS)
    file = folder / "aipc.json"
    table = {**json.loads(file.read_text()), "schema": 99}
    del table["hash"]
    file.write_text(json.dumps({**table, "hash": key_of(table) if is_whole else "0"}))
    assert manifest.find(folder) is None
    assert manifest.is_of_another_version(folder) == is_whole
    assert manifest.is_broken(folder) != is_whole


@pytest.mark.parametrize(
    "name",
    [
        "../config.json",
        "a/../../b",
        "/etc/passwd",
        "C:/x",
        "nul.json",
        "a/CON",
        "a./b",
        "a\\b",
        "a//b",
        "./a",
        "",
        "a/",
        "aipc.json",
        "a\0b",
        "a\nb",
        "\ud800",
    ],
)
def test_a_manifest_that_points_outside_its_folder(folder, name):
    manifest.write(folder, "artifact", "name", FACTS)
    rewrite(folder, files={name: {"size": 2, "sha256": "ab" * 32}})
    with pytest.raises(ArtifactError, match="outside its folder"):
        manifest.read(folder)


def test_two_names_that_are_one_file_on_windows(folder):
    manifest.write(folder, "artifact", "name", FACTS)
    one = {"size": 2, "sha256": "ab" * 32}
    rewrite(folder, files={"Model.bin": one, "model.bin": one})
    with pytest.raises(ArtifactError, match="lists a name twice"):
        manifest.read(folder)


def test_two_files_that_are_one_elsewhere_are_not_written(folder):
    (folder / "LICENSE").write_bytes(b"1")
    (folder / "License").write_bytes(b"2")
    if (folder / "LICENSE").read_bytes() == b"2":
        pytest.skip("they are one here")
    with pytest.raises(ArtifactError, match=r"differ by case alone.*; rename or remove one"):
        manifest.write(folder, "artifact", "name", FACTS)


@pytest.mark.skipif(os.name == "nt", reason="there such a file can't be")
def test_a_name_that_no_manifest_may_have_is_not_written(folder):
    (folder / "a:b").write_bytes(b"")
    with pytest.raises(ArtifactError, match="can't be kept: 'a:b'"):
        manifest.write(folder, "artifact", "name", FACTS)


def test_sha256_of_more_than_one_chunk(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    counts = []
    assert manifest.sha256(tmp_path / "file", counts.append) == hashlib.sha256(content).hexdigest()
    assert sum(counts) == len(content)
    assert len(counts) > 1


def test_git_gives_the_same_id(tmp_path):
    (tmp_path / "file").write_bytes(b"what is up, doc?")
    # The worked example of the page that the function cites.
    assert manifest.git_blob(tmp_path / "file") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
