from __future__ import annotations

import os

import pytest

from aipc.artifact import manifest
from aipc.errors import ArtifactError
from aipc.models import verified
from aipc.models.store import Store


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(verified, "SMALL", 100)
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "small").write_bytes(b"s" * 10)
    (folder / "large").write_bytes(b"l" * 1000)
    manifest.write(folder, "artifact", "made", {})
    return folder


@pytest.fixture
def files(folder, tmp_path):
    return Store(tmp_path / "home").verified(folder)


@pytest.fixture
def read(monkeypatch):
    """The names of the files that were hashed."""
    names, sha256 = [], manifest.sha256

    def noted(path, advance=None):
        names.append(path.name)
        return sha256(path, advance)

    monkeypatch.setattr(manifest, "sha256", noted)
    return names


def flip(file):
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)


def check(files):
    files.check_small()
    files.check_large()


def test_each_file_is_read_once(files, read):
    check(files)
    assert read == ["small", "large"]
    check(files)
    assert read == ["small", "large"]


def test_what_was_just_written_is_not_read_again(files, read):
    files.note()
    check(files)
    assert read == []


def test_a_file_whose_time_changed_is_read_again(files, folder, read):
    files.note()
    os.utime(folder / "large", ns=(1, 1))
    check(files)
    check(files)
    assert read == ["large"]


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_flipped_byte_is_found_and_the_file_never_used_again(files, folder, read, name):
    files.note()
    flip(folder / name)
    with pytest.raises(ArtifactError, match=f"made' is damaged: '{name}' is not what was made"):
        check(files)
    with pytest.raises(ArtifactError, match="is damaged"):
        files.check_small()
    assert read == [name]


def test_a_file_that_is_mended_is_used_again(files, folder):
    flip(folder / "small")
    with pytest.raises(ArtifactError, match="aipc rm made"):
        check(files)
    flip(folder / "small")
    os.utime(folder / "small", ns=(7, 7))
    check(files)


def test_a_folder_without_a_manifest_passes(files, folder, read):
    (folder / manifest.FILE).unlink()
    flip(folder / "small")
    check(files)
    files.note()
    assert read == []
