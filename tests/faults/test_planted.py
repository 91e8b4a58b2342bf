"""What is planted in the store, and devices that are wrong or not there: none goes unnoticed."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import pytest

pytest.importorskip("openvino_genai")
pytest.importorskip("onnxruntime_genai")
if sys.platform != "linux":
    pytest.skip("programs are limited as Linux limits them", allow_module_level=True)

import tiny
from program import WRONG_NPU
from works import TUNE, misreported

from aipc.artifact.files import ONNX_WEIGHTS
from aipc.artifact.manifest import FILE
from aipc.choose.measured import Records
from aipc.models.blobs import list_blobs

MOST = 40
ASK = "run Hello --max-new-tokens 8 --temperature 0 -m {model}"
ON = {
    "cpu": f"{ASK} --device cpu --runtime onnx",
    "npu": f"{ASK} --device npu --emulate --max-prompt-len 64",
    "auto": f"{ASK} --runtime onnx",
}
MADE_BEFORE = (
    "cache prebuild {model} --device cpu",
    "cache prebuild {other} --device cpu",
    ON["npu"],
    ON["npu"].replace("{model}", "{other}"),
    f"tune {{model}} {' '.join(TUNE)}",
)


class Planted:
    """The store of two models, with all that is made of them, and what is planted there."""

    def __init__(self, program, places):
        self.program = program
        self._places = places
        for command in MADE_BEFORE:
            outcome = self.run(command)
            assert outcome.status == 0, outcome.err
        program.keep()
        self.answers = {where: self.run(command).out for where, command in ON.items()}

    def run(self, command, **how):
        return self.program.run(*command.format_map(self._places).split(), **how)

    def artifacts(self, part):
        """Of the model and of the other one."""
        folder = self.program.home / "artifacts"
        (own,), (other,) = (
            [one for one in folder.iterdir() if part in one.name and one.name.startswith(name)]
            for name in ("small-", "other-")
        )
        return own, other

    def blobs(self, part):
        kept = list_blobs(self.program.home / "blobs")
        (own,), (other,) = (
            [one.path for one in kept if part in one.identity and name in one.identity["artifact"]]
            for name in ("/small-", "/other-")
        )
        return own, other


def replaced_artifact(planted, draw):
    own, other = planted.artifacts("onnx-cpu-int8")
    shutil.rmtree(planted.program.home / "blobs")
    _replace(own, other)
    return ON["cpu"], {}


def replaced_weights(planted, draw):
    own, other = planted.artifacts("onnx-cpu-int8")
    shutil.rmtree(planted.program.home / "blobs")
    shutil.copy(other / ONNX_WEIGHTS, own / ONNX_WEIGHTS)
    return ON["cpu"], {}


def another_recipe(planted, draw):
    own, _ = planted.artifacts("onnx-cpu-int8")
    text = (own / FILE).read_text("utf-8")
    (own / FILE).write_text(text.replace('"int8"', '"int4"'), "utf-8")
    return ON["cpu"], {}


def others_ready_weights(planted, draw):
    _replace(*planted.blobs("onnxruntime"))
    return ON["cpu"], {}


def swapped_ready_weights(planted, draw):
    own, other = planted.blobs("onnxruntime")
    shutil.copy(other / ONNX_WEIGHTS, own / ONNX_WEIGHTS)
    return ON["cpu"], {}


def others_npu_blob(planted, draw):
    _replace(*planted.blobs("openvino"))
    return ON["npu"], {}


def swapped_npu_blob(planted, draw):
    own, other = planted.blobs("openvino")
    shutil.copy(other / "model.blob", own / "model.blob")
    return ON["npu"], {}


def wrong_npu(planted, draw):
    shutil.rmtree(planted.program.home / "canary")
    return ON["npu"], {"stand_in": WRONG_NPU}


def wrong_npu_with_verdicts_of_others(planted, draw):
    """Of another model, or of this one by another driver, under this one's name."""
    own, other = sorted((planted.program.home / "canary").iterdir())
    table = json.loads(draw.choice([own, other]).read_text("utf-8"))
    table["identity"]["driver"] = "1.2.3"
    for file in (own, other):
        file.write_text(json.dumps(table), "utf-8")
    return ON["npu"], {"stand_in": WRONG_NPU}


def missing_device(planted, draw):
    device = draw.choice(["npu", "gpu", "gpu.1", "cuda", "directml", "webgpu", "tpu"])
    return f"{ASK} --device {device}", {}


def tuned_elsewhere(planted, draw):
    records = Records(planted.program.home / "tuned")
    (found,), _ = records.all()
    elsewhere = draw.choice(
        [
            {"processor": "another"},
            {"devices": {"NPU": "another"}},
            {"versions": {**found.machine.versions, "onnxruntime": "1.0"}},
        ]
    )
    records.save(replace(found, machine=replace(found.machine, **elsewhere)))
    return ON["auto"], {}


def devices_of_another_machine(planted, draw):
    for file in (planted.program.home / "devices").iterdir():
        table = json.loads(file.read_text("utf-8"))
        table["identity"]["cpu"]["name"] = "another"
        table["value"] = [{**table["value"][0], "name": "GPU", "kind": "gpu"}]
        file.write_text(json.dumps(table), "utf-8")
    return ON["auto"], {}


PLANTS = (
    *(replaced_artifact, replaced_weights, another_recipe),
    *(others_ready_weights, swapped_ready_weights, others_npu_blob, swapped_npu_blob),
    *(wrong_npu, wrong_npu_with_verdicts_of_others, missing_device),
    *(tuned_elsewhere, devices_of_another_machine),
)
REFUSED = (wrong_npu, wrong_npu_with_verdicts_of_others, missing_device)


def _replace(own, other):
    shutil.rmtree(own)
    shutil.copytree(other, own)


@pytest.mark.faults
def test_nothing_planted_is_answered_from(row, make_program, small_checkpoint):
    program, places = make_program("planted")
    weights = tiny.random_tensors(json.loads((small_checkpoint / "config.json").read_text()), 9)
    config = json.loads((small_checkpoint / "config.json").read_text())
    places["other"] = tiny.write_checkpoint(program.folder / "other", config, weights)
    planted = Planted(program, places)
    for number, draw in enumerate(row.cases(MOST)):
        plant = PLANTS[number % len(PLANTS)]
        program.restore()
        command, how = plant(planted, draw)
        outcome = planted.run(command, **how)
        where = next((name for name, each in ON.items() if each == command), None)
        row.count("refused in one line" if outcome.status else "answered as before")
        if outcome.status:
            wrong = misreported(outcome)
        else:
            is_right = plant not in REFUSED and outcome.out == planted.answers[where]
            wrong = [] if is_right else [f"answers {outcome.out!r}"]
        for one in wrong:
            row.find(f"{plant.__name__}: {one}")
