from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap

import pytest

from aipc.artifact import manifest
from aipc.errors import ArtifactError, DownloadFailed, ModelNotFound
from aipc.models import staging, transfer
from aipc.models.source import ArtifactSource, FolderSource, GgufSource, HubSource
from aipc.models.store import Store
from aipc.records import key_of

SOURCE = HubSource("org/model")


@pytest.fixture
def repo(hub, make_repo, checkpoint_files):
    hub.repos["org/model"] = make_repo(checkpoint_files)
    return hub.repos["org/model"]


def add_artifact(store, key, content=b"weights"):
    with staging.staged(store.artifact_path(key)) as folder:
        (folder / "openvino_model.bin").write_bytes(content)
        manifest.write(folder, "artifact", key, {"bits": 4})


def test_home_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("AIPC_HOME", str(tmp_path / "models"))
    assert Store().home == tmp_path / "models"
    assert Store(tmp_path).home == tmp_path


def test_a_checkpoint_of_another_version_is_not_fetched_over(store):
    folder = store.path("checkpoint", SOURCE.name)
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    manifest.write(folder, "checkpoint", SOURCE.name, {})
    file = folder / manifest.FILE
    table = {**json.loads(file.read_text("utf-8")), "schema": 99}
    del table["hash"]
    other = json.dumps({**table, "hash": key_of(table)})
    file.write_text(other, "utf-8")
    with pytest.raises(ArtifactError, match="another version of aipc keeps"):
        store.fetch(SOURCE)
    assert file.read_text("utf-8") == other


def test_home_is_the_platforms_folder_otherwise(monkeypatch):
    monkeypatch.delenv("AIPC_HOME", raising=False)
    assert Store().home.name == "aipc"
    assert Store().home.is_absolute()


def test_the_users_own_files_are_given_back_as_they_are(store, tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert store.fetch(GgufSource(tmp_path / "m.gguf")) == tmp_path / "m.gguf"
    assert store.fetch(FolderSource(tmp_path)) == tmp_path
    assert not store.home.exists()
    with pytest.raises(ModelNotFound, match="not there any more"):
        store.fetch(GgufSource(tmp_path / "gone.gguf"))


def test_an_artifact_is_no_checkpoint(store, tmp_path):
    with pytest.raises(ArtifactError, match="converted already"):
        store.fetch(ArtifactSource(tmp_path))


def test_an_empty_store(store):
    assert store.entries() == []
    assert store.prune() == []
    assert not store.home.exists()


def test_entries_are_what_is_whole(store, repo):
    add_artifact(store, "b")
    add_artifact(store, "a", b"12345")
    folder = store.fetch(SOURCE)
    assert [entry.name for entry in store.entries()] == ["org--model--main", "a", "b"]
    checkpoint, small, _ = store.entries()
    assert (checkpoint.kind, small.kind) == ("checkpoint", "artifact")
    assert checkpoint.path == folder
    assert checkpoint.facts["commit"] == repo.commit
    assert small.nbytes == 5
    assert small.created.endswith("+00:00")


@pytest.mark.parametrize("damage", ["no manifest", "cut", "missing"])
def test_what_is_not_whole_is_not_listed(store, damage):
    add_artifact(store, "a")
    place = store.artifact_path("a")
    if damage == "no manifest":
        (place / "aipc.json").unlink()
    elif damage == "cut":
        (place / "openvino_model.bin").write_bytes(b"w")
    else:
        (place / "openvino_model.bin").unlink()
    assert store.entries() == []
    assert store.prune() == ["a"]
    assert not place.exists()


def test_a_damaged_checkpoint_is_fetched_again(store, repo):
    folder = store.fetch(SOURCE)
    (folder / "config.json").unlink()
    assert not store.holds(SOURCE)
    assert manifest.verify(store.fetch(SOURCE)) == []
    assert store.holds(SOURCE)


def test_verify_reads_every_byte(store):
    add_artifact(store, "a")
    assert store.verify("a") == []
    (store.artifact_path("a") / "openvino_model.bin").write_bytes(b"WEIGHTS")
    assert len(store.verify("a")) == 1
    with pytest.raises(ModelNotFound, match="the store has no 'b'; `aipc models`"):
        store.verify("b")


def test_remove(store, repo):
    store.fetch(SOURCE)
    add_artifact(store, "a")
    store.remove("org--model--main")
    assert [entry.name for entry in store.entries()] == ["a"]
    store.remove("a")
    assert store.entries() == []
    with pytest.raises(ModelNotFound, match="the store has no 'a'"):
        store.remove("a")


def test_remove_takes_what_was_left_of_a_download(store, repo):
    repo.cuts["model-00001-of-00002.safetensors"] = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        store.fetch(SOURCE)
    store.remove("org--model--main")
    assert list(store.home.rglob("*.partial")) == []


@pytest.mark.parametrize("name", ["..", ".", "../outside", "", "a/../../outside"])
def test_remove_stays_in_the_store(store, tmp_path, name):
    add_artifact(store, "a")
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(ModelNotFound):
        store.remove(name)
    assert outside.exists()
    assert len(store.entries()) == 1


@pytest.mark.parametrize(
    "key", ["", ".hidden", "a/b", "..", "a\\b", "a:b", "end.", "x" * 201, "nul", "Con.x"]
)
def test_keys_that_are_no_file_names(store, key):
    with pytest.raises(ArtifactError, match="can't be a name"):
        store.artifact_path(key)


def test_prune_removes_remains_and_keeps_what_is_whole(store, repo):
    add_artifact(store, "a")
    repo.cuts["model-00001-of-00002.safetensors"] = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        store.fetch(SOURCE)
    assert store.prune() == ["org--model--main"]
    assert store.prune() == []
    assert list(store.home.rglob("*.partial")) == []
    assert [entry.name for entry in store.entries()] == ["a"]


def test_prune_leaves_work_in_progress_alone(store):
    with staging.staged(store.artifact_path("a")) as folder:
        (folder / "openvino_model.bin").write_bytes(b"weights")
        assert store.prune() == []
        assert folder.exists()
        manifest.write(folder, "artifact", "a", {})
    assert len(store.entries()) == 1


def test_a_disk_that_fills_up_during_a_download(store, repo, monkeypatch):
    def full(response, file, partial, *_):
        partial.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_write", full)
        with pytest.raises(DownloadFailed, match=r"no space left .* free; free some"):
            store.fetch(SOURCE)
    assert store.entries() == []
    # What was written before the disk was full is content of the file, or is found not to be.
    with pytest.raises(DownloadFailed, match="arrived damaged"):
        store.fetch(SOURCE)
    assert manifest.verify(store.fetch(SOURCE)) == []


FETCH = """
    import sys
    from pathlib import Path
    from aipc.models.source import HubSource
    from aipc.models.store import Store

    def progress(what, done, total):
        print(what, done, total, flush=True)

    print("folder", Store(Path(sys.argv[1])).fetch(HubSource("org/model"), progress))
"""


def fetch_elsewhere(store):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(FETCH), str(store.home)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_TOKEN": "nobody"},
    )


def size(path):
    """0 for a file that the other process has renamed meanwhile."""
    return path.stat().st_size if path.exists() else 0


def test_a_killed_download_goes_on_where_it_stopped(store, hub, repo, wait_until):
    name = "model-00001-of-00002.safetensors"
    repo.files[name] = bytes(range(256)) * 40_000
    repo.pauses[name] = 4_000_000
    process = fetch_elsewhere(store)
    partial = store.home / "checkpoints" / ".org--model--main.partial"
    wait_until(lambda: any(size(path) > 1_000_000 for path in partial.glob("*.partial")))
    process.kill()
    process.communicate(timeout=30)
    hub.released.set()
    assert store.entries() == []
    hub.requests.clear()
    assert manifest.verify(store.fetch(SOURCE)) == []
    start = int(hub.asked(name)[0].headers["range"].removeprefix("bytes=").rstrip("-"))
    assert start > 1_000_000


def test_two_processes_fetch_a_model_once(store, hub, repo):
    processes = [fetch_elsewhere(store) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert all("folder" in text for text in said)
    asked = [request.path for request in hub.asked("/resolve/")]
    assert len(asked) == len(set(asked))
    assert store.verify("org--model--main") == []
