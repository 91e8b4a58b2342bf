"""Damaged and hostile files of every format: one line each; no crash, no hang, no gigabyte."""

from __future__ import annotations

import os
import random
import shutil
import sys
from itertools import count
from pathlib import Path

import hostile_reader
import pytest
from hostile_adapters import adapter
from hostile_artifacts import ARTIFACTS
from hostile_encoders import encoder
from hostile_files import CHECKPOINTS, Models
from processes import PROC

from aipc.artifact import manifest
from aipc.child import Child, ChildEnded
from aipc.convert.recipe import Recipe
from aipc.session.convert import convert

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="reads /proc")
LIMIT_S = 10
"""Seconds of processor time: the machine may be busy."""
WALL_S = 90
MOST_BYTES = 2**30
LONGEST = 1500
SHORT = 6
"""Cases of each format among the tests."""
TO_CONVERT = {
    **{name: ("convert", make) for name, make in CHECKPOINTS.items()},
    "adapter": ("merge", adapter),
    "encoder": ("read texts", encoder),
}
"""What is done with each kind of model, and what makes a case of it."""


class Reader:
    """The child that opens cases, started again where one ended it."""

    def __init__(self, home: Path) -> None:
        self._env = os.environ | {"AIPC_HOME": str(home), "PYTHONFAULTHANDLER": "1"}
        self._env["PYTHONPATH"] = os.pathsep.join(sys.path)
        self._child = None

    def open(self, do, path, output):
        """What is wrong with how it was opened, "" if nothing; and the outcome in a word."""
        if self._child is None:
            self._child = Child([sys.executable, hostile_reader.__file__], env=self._env)
            self._child.answer(WALL_S)
        pid = self._child._process.pid
        (PROC / f"{pid}/clear_refs").write_text("5")  # the peak of memory is counted from here
        question = {"do": do, "path": str(path), "output": str(output)}
        try:
            begun = processor_s(pid)
            answer = self._child.ask(question, WALL_S)
        except ChildEnded as ended:
            self._child = None
            hangs = ended.status is None
            return ("hang", f"no answer in {WALL_S} s") if hangs else ("crash", str(ended))
        if processor_s(pid) - begun > LIMIT_S:
            return "hang", f"{processor_s(pid) - begun:.0f} s of processor time"
        outcome = answer["outcome"], "" if answer["outcome"] == "refused" else answer["line"]
        if peak_bytes(pid) > MOST_BYTES:
            return "memory", f"{peak_bytes(pid) / 2**30:.1f} GiB ({answer['line']})"
        if answer["outcome"] == "refused" and is_no_line(answer["line"]):
            return "unshowable", repr(answer["line"])
        return outcome

    def end(self):
        if self._child is not None:
            self._child.end()


def peak_bytes(pid):
    status = (PROC / f"{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if "VmHWM" in line)


def processor_s(pid):
    """Of all its threads."""
    times = (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def is_no_line(text):
    return not text.isprintable() or not 0 < len(text) <= LONGEST


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    reader = Reader(tmp_path_factory.mktemp("home"))
    yield reader
    reader.end()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Models(tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def artifacts(models, tmp_path_factory):
    """A sound artifact for each runtime."""
    made = tmp_path_factory.mktemp("artifacts")
    source = str(models.checkpoint("phi4"))
    return [
        convert(source, Recipe("int8"), runtime=runtime, output=made / runtime, notify=str).path
        for runtime in ("openvino", "onnx")
    ]


def try_case(row, reader, folder, do, make, sound, number):
    source, output = folder / "source", folder / "artifact"
    source.mkdir()
    rng = random.Random(f"{make.__name__} {row.seed} {number}")
    sound = rng.choice(sound) if isinstance(sound, list) else sound
    path = make(rng, sound, source)
    outcome, what = reader.open(do, path, output)
    row.count(outcome)
    # no hash covers a vendor's folder, and its files go to the vendor's reader as they are
    is_vendors = do == "answer" and outcome == "crash" and not (path / manifest.FILE).exists()
    if what and not is_vendors:
        row.find(f"{make.__name__} {row.seed} {number}: {outcome}: {what}")
    for left in folder.iterdir():
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()


@pytest.mark.parametrize("name", TO_CONVERT)
def test_a_checkpoint_is_taken_or_refused(name, row, reader, models, tmp_path):
    do, make = TO_CONVERT[name]
    for number in range(SHORT):
        try_case(row, reader, tmp_path, do, make, models, number)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_an_artifact_is_taken_or_refused(name, row, reader, artifacts, tmp_path):
    for number in range(SHORT):
        try_case(row, reader, tmp_path, "answer", ARTIFACTS[name], artifacts, number)


def test_no_flipped_byte_of_an_artifact_goes_unnoticed(row, reader, artifacts, tmp_path):
    for number, sound in enumerate(artifacts):
        folder = shutil.copytree(sound, tmp_path / f"a{number}")
        for name in manifest.read(folder).files:
            whole = (folder / name).read_bytes()
            at = random.Random(f"{name} {row.seed}").randrange(len(whole))
            (folder / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            outcome, what = reader.open("answer", folder, tmp_path)
            row.count(outcome)
            if outcome != "refused":
                row.find(f"{name} at {at}: {outcome} {what}")
            (folder / name).write_bytes(whole)
        assert reader.open("answer", folder, tmp_path) == ("taken", "")


@pytest.mark.faults
@pytest.mark.parametrize("name", TO_CONVERT)
def test_many_checkpoints(name, row, reader, models, tmp_path):
    do, make = TO_CONVERT[name]
    for number in count(SHORT):
        if row.is_over:
            break
        try_case(row, reader, tmp_path, do, make, models, number)


@pytest.mark.faults
@pytest.mark.parametrize("name", ARTIFACTS)
def test_many_artifacts(name, row, reader, artifacts, tmp_path):
    for number in count(SHORT):
        if row.is_over:
            break
        try_case(row, reader, tmp_path, "answer", ARTIFACTS[name], artifacts, number)
