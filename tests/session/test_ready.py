"""Ready weights are made once, apart from the session, and only where that disturbs nobody."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import tiny

pytest.importorskip("onnxruntime_genai", reason="pip install 'aipc[onnx]'")

from aipc import disk
from aipc.artifact import manifest
from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.devices.system.memory import Memory
from aipc.errors import ArtifactError
from aipc.models.blobs import list_blobs
from aipc.models.store import Store
from aipc.runtimes.blob_cache import READY
from aipc.runtimes.onnx import ready_weights
from aipc.session import ready
from aipc.session.loading import load
from aipc.session.ready import make_later, make_ready


@pytest.fixture
def artifact(tmp_path):
    source, folder = tmp_path / "checkpoint", tmp_path / "artifact"
    source.mkdir()
    folder.mkdir()
    config = tiny.CONFIGS["llama-gqa"]
    with open_checkpoint(
        tiny.write_checkpoint(source, config, tiny.random_tensors(config))
    ) as read:
        plan_onnx(read, Recipe("int4"), find_target("cpu", "onnx")).write(folder)
    manifest.write(folder, "artifact", "tiny", {"recipe": {"weight_format": "int4"}})
    return folder


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


@pytest.fixture
def later(artifact, store, monkeypatch):
    """Make them later, as after an answer of a session with ``facts``: (process, notices)."""
    monkeypatch.setattr(ready, "_LEAST", 0)
    monkeypatch.delenv(ready.SWITCH, raising=False)

    def call(**facts):
        told: list[str] = []
        known = {READY: False, "artifact": str(artifact), "weights": "int4"}
        return make_later({**known, **facts}, store, told.append), told

    return call


def opened(artifact, store):
    """The fact of a session, and its notices."""
    told: list[str] = []
    with load(str(artifact), device="cpu", store=store, notify=told.append) as session:
        return session.facts.get(READY), told


def test_a_session_uses_them_once_they_are_made(artifact, store):
    assert opened(artifact, store) == (False, [])
    assert make_ready(artifact, store)
    assert not make_ready(artifact, store)
    assert opened(artifact, store) == (True, [])


def test_a_cut_file_is_told_and_the_artifact_answers(artifact, store):
    make_ready(artifact, store)
    (kept,) = list_blobs(store.blobs)
    (kept.path / "model.onnx.data").write_bytes(b"cut")
    is_ready, (told,) = opened(artifact, store)
    assert not is_ready
    assert "unusable" in told
    assert list_blobs(store.blobs) == []


def test_another_process_makes_them_and_leaves_nothing_else(artifact, store, later):
    process, told = later()
    assert process.wait(120) == 0
    assert len(told) == 1
    assert "in the background" in told[0]
    assert opened(artifact, store) == (True, [])
    assert {path.suffix for path in store.blobs.iterdir()} == {"", ".lock"}


def test_a_failure_stays_in_its_log_and_is_not_repeated_at_once(artifact, store, later):
    manifest_file = artifact / manifest.FILE
    manifest_file.unlink()
    process, _ = later()
    assert process.wait(120) == 1
    assert "has no aipc.json" in (store.blobs / ".artifact.log").read_text()
    assert later() == (None, [])


@pytest.mark.parametrize(
    "facts", [{READY: True}, {"server": "http://127.0.0.1"}, {"weights": "fp16"}]
)
def test_nothing_is_started_where_nothing_is_gained(facts, later, store):
    assert later(**facts) == (None, [])
    assert not store.blobs.exists()


def test_small_models_are_left(later, monkeypatch):
    monkeypatch.undo()
    assert later() == (None, [])


def test_the_switch_leaves_them(later, monkeypatch):
    monkeypatch.setenv(ready.SWITCH, "0")
    assert later() == (None, [])


@pytest.mark.parametrize("short", ["disk", "memory"])
def test_a_shortage_is_told_once(short, later, monkeypatch):
    if short == "disk":
        monkeypatch.setattr(disk, "free", lambda _: 1000)
    else:
        monkeypatch.setattr(ready, "read_memory", lambda: Memory(1000, 1000))
    process, told = later()
    assert process is None
    assert len(told) == 1
    assert "1.0 kB" in told[0]
    assert later() == (None, [])


def test_those_of_another_version_go_and_those_of_another_processor_stay(
    artifact, store, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(ready_weights, "installed", lambda: {"onnxruntime": "1.0"})
        make_ready(artifact, store)
    cpu = ready_weights.read_cpu()
    with monkeypatch.context() as patch:
        patch.setattr(ready_weights, "read_cpu", lambda: replace(cpu, name="another"))
        make_ready(artifact, store)
    make_ready(artifact, store)
    processors = [blob.identity["processor"][0] for blob in list_blobs(store.blobs)]
    assert sorted(processors) == sorted(["another", cpu.name])
    assert opened(artifact, store) == (True, [])


def test_a_folder_without_a_manifest_has_none(artifact, store):
    (artifact / manifest.FILE).unlink()
    with pytest.raises(ArtifactError, match=r"has no aipc\.json"):
        make_ready(artifact, store)
    assert opened(artifact, store) == (None, [])


def test_a_model_that_was_made_again_has_none(artifact, store):
    make_ready(artifact, store)
    (artifact / "model.onnx.data").write_bytes(bytes((artifact / "model.onnx.data").stat().st_size))
    (artifact / manifest.FILE).unlink()
    manifest.write(artifact, "artifact", "tiny", {"recipe": {"weight_format": "int4"}})
    assert opened(artifact, store) == (False, [])


def test_an_artifact_elsewhere_has_none(artifact, store, tmp_path):
    make_ready(artifact, store)
    shutil.copytree(artifact, tmp_path / "copy")
    assert opened(tmp_path / "copy", store) == (False, [])
