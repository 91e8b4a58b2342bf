"""Weights kept ready: the same answers, and never used where they are not what they should be."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime_genai", reason="pip install 'aipc[onnx]'")

from aipc import disk
from aipc.artifact.files import ONNX_MODEL, ONNX_WEIGHTS
from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.errors import ArtifactError, UsageError
from aipc.models.blobs import Blobs, list_blobs
from aipc.models.store import Store
from aipc.runtimes.base import Decoding
from aipc.runtimes.blob_cache import READY
from aipc.runtimes.onnx import ready_weights
from aipc.runtimes.onnx.ready_weights import ReadyWeights, open_on_cpu
from aipc.runtimes.onnx.runtime import ONNXRuntime

ABOUT = {"model": "one", "artifact": "somewhere"}
PROMPT = [72, 101, 108, 108, 111]


@pytest.fixture(scope="module")
def artifact(tiny_checkpoint, tmp_path_factory):
    """The artifact of a tiny network, by its name and the format of its weights."""

    def make(name="llama-gqa", weights="int4"):
        folder = tmp_path_factory.mktemp(f"{name}-{weights}")
        with open_checkpoint(tiny_checkpoint(name)[0]) as checkpoint:
            plan_onnx(checkpoint, Recipe(weights), find_target("cpu", "onnx")).write(folder)
        return folder

    return make


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "cache", ABOUT, verified=Store(tmp_path).verified)


@pytest.fixture
def kept(artifact, blobs):
    """(artifact, folder of its ready weights)."""
    source = artifact()
    ReadyWeights(source, blobs).make()
    return source, blobs.find(ready_weights.made_for())


def answer(artifact, blobs, properties=None, adapters=None, adapter=""):
    """(tokens, the fact, notices) of a load."""
    told: list[str] = []
    opened = open_on_cpu(artifact, properties or {}, blobs, told.append, adapters)
    with contextlib.closing(opened) as engine:
        tokens = list(engine.start(PROMPT, Decoding(12, adapter=adapter), frozenset()))
        return tokens, engine.facts.get(READY), told


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("llama-gqa", "int4"),
        ("llama-gqa", "int8"),
        ("llama-gqa", "fp16"),
        ("llama-mha-tied", "int4"),
        ("qwen2", "int4"),
        ("phi3-longrope", "int4"),
    ],
)
def test_they_are_made_once_and_answer_alike(name, weights, artifact, blobs):
    source = artifact(name, weights)
    with contextlib.closing(ONNXRuntime().open(source, "cpu", {})) as engine:
        plain = list(engine.start(PROMPT, Decoding(12), frozenset()))
    assert answer(source, blobs) == (plain, False, [])
    assert ReadyWeights(source, blobs).make()
    assert not ReadyWeights(source, blobs).make()
    assert answer(source, blobs) == (plain, True, [])


@pytest.mark.parametrize(
    ("name", "weights"),
    [("llama-gqa", "int4"), ("llama-gqa", "int8"), ("llama-gqa", "fp16"), ("qwen2", "int4")],
)
def test_adapters_are_put_on_them(name, weights, artifact, blobs):
    """Also on products that have a bias, and on whole matrices, which are saved turned."""
    source, rng = artifact(name, weights), np.random.default_rng(1)
    shapes = {"block.0.query_key_value": (128, 64), "block.1.down": (64, 96), "head": (260, 64)}
    adapters = {
        "own": {
            matrix: tuple(
                (0.3 * rng.standard_normal(shape)).astype(np.float32)
                for shape in ((4, columns), (rows, 4))
            )
            for matrix, (rows, columns) in shapes.items()
        }
    }
    plain, _, _ = answer(source, blobs)
    changed, _, _ = answer(source, blobs, None, adapters, "own")
    ReadyWeights(source, blobs).make()
    assert answer(source, blobs, None, adapters, "own") == (changed, True, [])
    assert answer(source, blobs, None, adapters) == (plain, True, []) != (changed, True, [])


def test_what_a_user_mistook_is_not_their_fault(kept, blobs):
    with pytest.raises(UsageError, match="did you mean intra_op_num_threads"):
        answer(kept[0], blobs, {"intra_op_threads": "1"})
    assert answer(kept[0], blobs)[1:] == (True, [])


def test_a_weight_is_on_the_disk_in_one_form_alone(kept):
    source, folder = kept
    plain, ready = ((at / ONNX_WEIGHTS).stat().st_size for at in (source, folder))
    assert plain < ready < 1.2 * plain


def test_they_hold_for_one_processor_and_one_version(kept, blobs, monkeypatch):
    source, _ = kept
    cpu = ready_weights.read_cpu()
    with monkeypatch.context() as patch:
        patch.setattr(ready_weights, "read_cpu", lambda: replace(cpu, features=("avx2",)))
        assert answer(source, blobs)[1:] == (False, [])
    with monkeypatch.context() as patch:
        patch.setattr(ready_weights, "installed", lambda: {"onnxruntime": "9.9"})
        assert answer(source, blobs)[1:] == (False, [])
    assert answer(source, blobs)[1:] == (True, [])


def test_another_model_has_none(kept, tmp_path):
    other = Blobs(tmp_path / "cache", ABOUT | {"model": "two"}, verified=Store(tmp_path).verified)
    assert answer(kept[0], other)[1:] == (False, [])


def cut(folder):
    with (folder / ONNX_WEIGHTS).open("r+b") as file:
        file.truncate(1000)


def longer(folder):
    with (folder / ONNX_WEIGHTS).open("ab") as file:
        file.write(b"more")


def missing(folder):
    (folder / "scores.npy").unlink()


def zeroed(folder):
    content = (folder / ONNX_WEIGHTS).read_bytes()
    (folder / ONNX_WEIGHTS).write_bytes(bytes(len(content)))


def torn_graph(folder):
    content = (folder / ONNX_MODEL).read_bytes()
    (folder / ONNX_MODEL).write_bytes(content[:3000] + bytes(len(content) - 3000))


def made_by_other_kernels(folder):
    """As where the processor is not what its name says: the file is as it was made."""
    content, made = (folder / ONNX_MODEL).read_bytes(), (folder / ONNX_MODEL).stat().st_mtime_ns
    other, found = re.subn(
        rb"(?<=MatMulNBits\+)\d", lambda digit: b"%d" % (9 - int(digit[0])), content
    )
    assert found
    (folder / ONNX_MODEL).write_bytes(other)
    os.utime(folder / ONNX_MODEL, ns=(made, made))


@pytest.mark.parametrize(
    "damage", [cut, longer, missing, zeroed, torn_graph, made_by_other_kernels]
)
def test_damaged_ones_are_removed_and_told_and_the_artifact_answers(damage, kept, blobs, tmp_path):
    source, folder = kept
    plain = answer(source, None)[0]
    damage(folder)
    told: list[str] = []
    watched = Blobs(
        tmp_path / "cache", ABOUT, verified=Store(tmp_path).verified, notify=told.append
    )
    tokens, is_ready, notices = answer(source, watched)
    assert (tokens, is_ready) == (plain, False)
    assert len(told + notices) == 1
    assert "unusable" in (told + notices)[0]
    assert list_blobs(tmp_path / "cache") == []
    assert ReadyWeights(source, blobs).make()
    assert answer(source, blobs) == (plain, True, [])


def test_properties_that_make_another_graph_do_without(kept, blobs):
    level = {"graph_optimization_level": "ORT_DISABLE_ALL"}
    assert answer(kept[0], blobs, level)[1:] == (None, [])
    assert answer(kept[0], blobs, {"intra_op_num_threads": "1"})[1:] == (True, [])


def test_a_full_disk_is_an_error_that_leaves_nothing(artifact, blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free", lambda _: 1000)
    with pytest.raises(ArtifactError, match=r"needs .* has 1\.0 kB"):
        ReadyWeights(artifact(), blobs).make()
    assert list_blobs(tmp_path / "cache") == []
    assert not list((tmp_path / "cache").glob(".*.partial"))


def test_weights_that_give_other_scores_are_not_kept(artifact, blobs, tmp_path, monkeypatch):
    save_packed = ready_weights.save_packed

    def spoiled(source, folder):
        save_packed(source, folder)
        zeroed(folder)

    monkeypatch.setattr(ready_weights, "save_packed", spoiled)
    with pytest.raises(ArtifactError, match="computes something else"):
        ReadyWeights(artifact(), blobs).make()
    assert list_blobs(tmp_path / "cache") == []


MAKE = """
import sys
from pathlib import Path
from aipc.models.blobs import Blobs
from aipc.models.store import Store
from aipc.runtimes.onnx.ready_weights import ReadyWeights
about = {"model": "one", "artifact": "somewhere"}
folder = Path(sys.argv[2])
blobs = Blobs(folder, about, verified=Store(folder.parent).verified)
print(ReadyWeights(Path(sys.argv[1]), blobs).make())
"""


def test_of_two_processes_one_makes_them(artifact, blobs, tmp_path):
    source: Path = artifact()
    command = [sys.executable, "-c", MAKE, str(source), str(tmp_path / "cache")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[0].strip() for process in both)
    assert said == ["False", "True"]
    assert answer(source, blobs)[1:] == (True, [])
