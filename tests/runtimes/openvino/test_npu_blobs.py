"""The NPU's compiled models in the cache: reused when they can be, never trusted when damaged."""

from __future__ import annotations

import contextlib

import pytest
from openvino_scorer import EXACT

from aipc.errors import ArtifactError
from aipc.models.blobs import Blobs, fingerprint, list_blobs
from aipc.runtimes.base import Decoding
from aipc.runtimes.openvino.npu import EMULATION, open_npu
from aipc.runtimes.openvino.npu_compiler import BLOB
from aipc.runtimes.openvino.static_shape import NpuOptions

SMALL = NpuOptions(max_prompt_len=64, min_response_len=64)
ABOUT = {"model": "one", "driver": "1"}


@pytest.fixture(scope="module")
def artifacts(tiny_artifact):
    return tiny_artifact("llama-gqa")[0], tiny_artifact("qwen2")[0]


class Machine:
    """Answers with a model, and says whether it was compiled for that."""

    def __init__(self, folder):
        self.folder = folder

    def answer(self, artifact, about=ABOUT, options=SMALL, properties=EMULATION, blobs=None):
        told, done = [], []
        blobs = blobs or Blobs(self.folder, about, notify=told.append)
        with contextlib.closing(
            open_npu(
                artifact,
                properties,
                options,
                blobs=blobs,
                progress=lambda what, *_: done.append(what),
                notify=told.append,
            )
        ) as engine:
            tokens = list(engine.start([72, 101, 108], Decoding(12), frozenset()))
        return tokens, any(what.startswith("compiling for the NPU") for what in done), told


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "cache")


def test_the_second_load_does_not_compile_and_answers_alike(machine, artifacts):
    first, compiled, told = machine.answer(artifacts[0])
    assert compiled
    assert told == [
        "compiling for the NPU, prompts up to 64 tokens: this happens once and can take minutes"
    ]
    assert machine.answer(artifacts[0]) == (first, False, [])


@pytest.mark.parametrize(
    "other",
    [
        {"about": ABOUT | {"driver": "2"}},
        {"about": ABOUT | {"model": "two"}},
        {"options": NpuOptions(max_prompt_len=128, min_response_len=64)},
        {"options": NpuOptions(64, 64, generate_hint="best-perf")},
    ],
    ids=["driver", "model", "shape", "hint"],
)
def test_another_identity_compiles_anew(other, machine, artifacts):
    machine.answer(artifacts[0])
    assert machine.answer(artifacts[0], **other)[1]
    assert len(list_blobs(machine.folder)) == 2
    assert not machine.answer(artifacts[0])[1]


def test_another_version_of_openvino_compiles_anew(machine, artifacts, monkeypatch):
    first, *_ = machine.answer(artifacts[0])
    monkeypatch.setattr("openvino.__version__", "2027.0")
    assert machine.answer(artifacts[0])[:2] == (first, True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:1000] + bytes([content[1000] ^ 255]) + content[1001:],
        lambda content: b"",
        lambda content: bytes(len(content)),
    ],
    ids=["truncated", "flipped", "empty", "zeros"],
)
def test_a_damaged_blob_is_made_anew_and_never_changes_an_answer(damage, machine, artifacts):
    first, *_ = machine.answer(artifacts[0])
    (kept,) = list_blobs(machine.folder)
    (kept.path / BLOB).write_bytes(damage((kept.path / BLOB).read_bytes()))
    again, compiled, told = machine.answer(artifacts[0])
    assert (again, compiled) == (first, True)
    assert "a compiled model in the cache is unusable" in told[0]
    assert machine.answer(artifacts[0]) == (first, False, [])


def test_a_sound_blob_that_openvino_refuses_is_made_anew(machine, artifacts):
    """As after a driver that keeps its version and changes its format."""

    class Foreign(Blobs):
        def find(self, configuration):
            found = super().find(configuration)
            if found is not None and (found / BLOB).stat().st_size > 100:
                (found / BLOB).write_bytes(b"of another format")
            return found

    first, *_ = machine.answer(artifacts[0])
    again, compiled, told = machine.answer(artifacts[0], blobs=Foreign(machine.folder, ABOUT))
    assert (again, compiled) == (first, True)
    assert "the kept blob can't be read" in told[0]


def test_models_of_one_shape_do_not_take_each_others_blobs(machine, artifacts):
    answers = []
    for artifact in (*artifacts, *artifacts):
        names = ("openvino_model.xml", "openvino_model.bin")
        about = ABOUT | {"model": fingerprint(artifact, names)}
        answers.append(machine.answer(artifact, about))
    assert [compiled for _, compiled, _ in answers] == [True, True, False, False]
    assert answers[0][0] == answers[2][0] != answers[1][0] == answers[3][0]


def test_a_cache_that_can_not_be_written_costs_the_cache_only(machine, artifacts, tmp_path):
    class Full(Blobs):
        def making(self, configuration, needed):
            raise ArtifactError(f"needs {needed} bytes", "free some")

    tokens, compiled, told = machine.answer(artifacts[0], blobs=Full(tmp_path, ABOUT))
    assert (len(tokens), compiled) == (12, True)
    assert told[1].startswith("the compiled model is not kept: needs ")


def test_a_cache_of_the_users_own_takes_the_place_of_ours(machine, artifacts, tmp_path):
    properties = {**EMULATION, "CACHE_DIR": str(tmp_path / "own")}
    machine.answer(artifacts[0], properties=properties)
    assert list((tmp_path / "own").glob("*.blob"))
    assert list_blobs(machine.folder) == []


def test_emulated_nothing_is_kept_that_a_blob_would_lose(machine, artifacts):
    """The qwen2 network answers otherwise in the CPU's default precision, where that is bf16."""
    properties = {**EMULATION, **EXACT}
    exact = machine.answer(artifacts[1], properties=properties)[0]
    assert machine.answer(artifacts[1], properties=properties)[:2] == (exact, True)
    assert list_blobs(machine.folder) == []
