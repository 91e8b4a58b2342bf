"""A blob goes to a vendor's loader that trusts what it reads: only the very same bytes do."""

from __future__ import annotations

import contextlib
import json
import shutil

import pytest

from aipc import disk
from aipc.artifact import manifest
from aipc.errors import ArtifactError
from aipc.models import blobs
from aipc.models.blobs import Blobs
from aipc.models.store import Store

BLOB = "model.blob"
ABOUT = {"model": "a" * 64, "driver": "1.2.3"}
CONFIGURATION = {"openvino": "2026.4.1", "device": "NPU", "properties": {"TURBO": "YES"}}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def make(cache, configuration=CONFIGURATION, content=b"compiled" * 1000):
    with cache.making(configuration, len(content)) as folder:
        if folder is not None:
            (folder / BLOB).write_bytes(content)
        return folder is not None


def content(cache, configuration=CONFIGURATION):
    return (cache.find(configuration) / BLOB).read_bytes()


@pytest.fixture
def cache(folder):
    kept = Blobs(folder, ABOUT)
    make(kept)
    return kept


def test_what_was_made_is_found(cache):
    assert content(cache) == b"compiled" * 1000
    assert not make(cache)


def test_an_empty_cache_has_nothing(folder):
    assert Blobs(folder, ABOUT).find(CONFIGURATION) is None
    assert blobs.list_blobs(folder) == []
    assert blobs.tidy_blobs(folder) == []


@pytest.mark.parametrize(
    ("about", "configuration"),
    [
        (ABOUT | {"model": "b" * 64}, CONFIGURATION),
        (ABOUT | {"driver": "1.2.4"}, CONFIGURATION),
        (ABOUT | {"driver": None}, CONFIGURATION),
        (ABOUT, CONFIGURATION | {"openvino": "2026.4.2"}),
        (ABOUT, CONFIGURATION | {"device": "GPU"}),
        (ABOUT, CONFIGURATION | {"properties": {}}),
        (ABOUT, CONFIGURATION | {"properties": {"TURBO": "NO"}}),
    ],
)
def test_one_for_anything_else_is_not_used(about, configuration, cache, folder):
    other = Blobs(folder, about)
    assert other.find(configuration) is None
    assert make(other, configuration, b"other")
    assert content(other, configuration) == b"other"
    assert content(cache) == b"compiled" * 1000


def truncated(place):
    with (place / BLOB).open("r+b") as file:
        file.truncate(7999)


def flipped(place):
    content = bytearray((place / BLOB).read_bytes())
    content[4321] ^= 1
    (place / BLOB).write_bytes(content)


def empty(place):
    (place / BLOB).write_bytes(b"")


def longer(place):
    with (place / BLOB).open("ab") as file:
        file.write(b"more")


def missing(place):
    (place / BLOB).unlink()


def without_manifest(place):
    (place / manifest.FILE).unlink()


def with_torn_manifest(place):
    text = (place / manifest.FILE).read_text()
    (place / manifest.FILE).write_text(text[: len(text) // 2])


def with_the_manifest_of_another(place):
    table = json.loads((place / manifest.FILE).read_text())
    table["facts"]["driver"] = "9.9.9"
    (place / manifest.FILE).write_text(json.dumps(table))


def with_a_stranger(place):
    (place / "model.blob.old").write_bytes(b"?")


def a_link(place):
    shutil.move(place / BLOB, place.parent / "elsewhere")
    (place / BLOB).symlink_to(place.parent / "elsewhere")


def a_file_in_place_of_the_folder(place):
    shutil.rmtree(place)
    place.write_bytes(b"?")


DAMAGES = [
    truncated,
    flipped,
    empty,
    longer,
    missing,
    without_manifest,
    with_torn_manifest,
    with_the_manifest_of_another,
    with_a_stranger,
    a_link,
    a_file_in_place_of_the_folder,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_removed_told_and_made_anew(damage, cache, folder):
    damage(cache.find(CONFIGURATION))
    told = []
    again = Blobs(folder, ABOUT, notify=told.append)
    assert again.find(CONFIGURATION) is None
    assert len(told) == 1
    assert "unusable" in told[0]
    assert again.find(CONFIGURATION) is None
    assert make(again, content=b"anew")
    assert content(again) == b"anew"


def test_a_failed_compilation_leaves_nothing(folder):
    cache = Blobs(folder, ABOUT)
    with contextlib.suppress(RuntimeError), cache.making(CONFIGURATION, 1) as made:
        (made / BLOB).write_bytes(b"half")
        raise RuntimeError
    assert cache.find(CONFIGURATION) is None
    assert blobs.list_blobs(folder) == []


def test_a_compiler_that_writes_nothing_is_an_error(folder):
    cache = Blobs(folder, ABOUT)
    with pytest.raises(ArtifactError, match="left no blob"):
        make(cache, content=b"")
    assert cache.find(CONFIGURATION) is None


def test_a_blob_that_a_full_disk_may_have_cut_is_not_kept(folder, monkeypatch):
    cache = Blobs(folder, ABOUT)
    room = iter([10**9, 1000])
    monkeypatch.setattr(disk, "free", lambda _: next(room))
    with pytest.raises(ArtifactError, match=r"needs 1\.0 MB"):
        make(cache)
    assert cache.find(CONFIGURATION) is None


def test_the_cache_is_listed_and_emptied(cache, folder):
    (kept,) = blobs.list_blobs(folder)
    assert kept.nbytes == 8000
    assert kept.identity == {**ABOUT, **CONFIGURATION}
    blobs.remove_blob(folder, kept.name)
    assert blobs.list_blobs(folder) == []


@pytest.mark.parametrize("damage", [flipped, truncated])
def test_where_bytes_are_read_once_a_change_is_found_all_the_same(folder, tmp_path, damage):
    cache = Blobs(folder, ABOUT, verified=Store(tmp_path).verified)
    make(cache)
    found = cache.find(CONFIGURATION)
    assert found is not None
    damage(found)
    assert cache.find(CONFIGURATION) is None


def test_tidying_takes_what_is_not_whole_only(cache, folder):
    other = CONFIGURATION | {"device": "GPU"}
    make(cache, other)
    missing(cache.find(other))
    assert len(blobs.tidy_blobs(folder)) == 1
    assert cache.find(CONFIGURATION) is not None


def test_a_fingerprint_is_the_same_with_and_without_a_manifest(tmp_path):
    for name in ("graph", "weights", "notes"):
        (tmp_path / name).write_text(name)
    names = ("graph", "weights")
    bare = blobs.fingerprint(tmp_path, names)
    manifest.write(tmp_path, "artifact", "x", {})
    assert blobs.fingerprint(tmp_path, names) == bare
    (tmp_path / manifest.FILE).unlink()
    (tmp_path / "weights").write_text("weightz")
    assert blobs.fingerprint(tmp_path, names) != bare
    with pytest.raises(ArtifactError, match="can't be read"):
        blobs.fingerprint(tmp_path, ("absent",))
