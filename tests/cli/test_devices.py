from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from aipc.choose.measured import Records, SetupFigures, Trial, Tuned, Work, fingerprint
from aipc.choose.setup import Setup
from aipc.devices.adapters import Adapter
from aipc.devices.device import Device
from aipc.devices.machine import Machine
from aipc.devices.reach import Unreached
from aipc.devices.system.cpu import Cpu
from aipc.devices.system.memory import Memory

PROGRAM = """
import sys
from aipc import cli
status = cli.run_command(sys.argv[1:])
print("\\n" + " ".join({name.partition(".")[0] for name in sys.modules}))
sys.exit(status)
"""


def loaded_by(home, *arguments: str) -> set[str]:
    """The packages that a command loads, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "AIPC_HOME": str(home)},
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture
def laptop(monkeypatch: pytest.MonkeyPatch) -> Machine:
    arc = Device(
        name="GPU.0",
        kind="gpu",
        full_name="Intel(R) Arc(TM) Graphics (iGPU)",
        driver="32.0.101.6078",
        memory_bytes=17_000_000_000,
        precisions=("fp32", "fp16", "int8"),
        runtimes=("openvino",),
    )
    boost = Device("NPU", "npu", "Intel(R) AI Boost", "32004081", None, ("fp16",), ("openvino",))
    radeon = Adapter(
        "gpu", "amd", "AMD Radeon RX 7600", module="amdgpu", memory_bytes=8_573_157_376
    )
    machine = Machine(
        devices=(arc, boost),
        adapters=(radeon,),
        unreached=(Unreached(radeon, "its wheel: `pip install onnxruntime`"),),
        cpu=Cpu("Intel(R) Core(TM) Ultra 7 155H", "AMD64", 16, 22, ("avx2", "avx_vnni")),
        memory=Memory(32_000_000_000, 8_000_000_000),
        system="Windows-11-10.0.26100-SP0",
        python="3.12.1",
        versions={"openvino": "2026.4.1"},
        problems=("something is amiss; mend it",),
    )
    monkeypatch.setattr("aipc.devices.machine.this_machine", lambda: machine)
    return machine


def test_a_table_and_the_machine(aipc, laptop: Machine) -> None:
    outcome = aipc("devices")
    lines = outcome.stdout.splitlines()
    assert lines[1].startswith("gpu.0  Intel(R) Arc(TM) Graphics (iGPU)  fp32 fp16 int8")
    assert "17.0 GB" in lines[1]
    assert lines[2].startswith("npu    Intel(R) AI Boost")
    assert lines[3].startswith("-      AMD Radeon RX 7600")
    assert "8.6 GB" in lines[3]
    assert "none: its wheel:" in " ".join(lines)
    assert "processor  Intel(R) Core(TM) Ultra 7 155H: 16 cores, 22 threads" in lines
    assert "memory     32.0 GB, 8.0 GB available" in lines
    assert max(map(len, lines)) <= 100
    assert outcome.stderr == "problem: something is amiss; mend it\n"


def test_json_has_every_fact(aipc, laptop: Machine) -> None:
    told = json.loads(aipc("devices", "--json").stdout)
    assert told["devices"][1]["driver"] == "32004081"
    assert told["cpu"]["physical_cores"] == 16
    assert told["problems"] == ["something is amiss; mend it"]
    assert told["unreached"][0]["adapter"]["maker"] == "amd"
    assert "order" not in told


def test_what_a_node_of_a_cluster_declares(aipc, laptop: Machine) -> None:
    assert aipc("devices", "--ray").stdout == '--num-gpus=1 --resources={"NPU":1}\n'


def test_this_machine(aipc) -> None:
    outcome = aipc("devices")
    assert outcome.status == 0
    assert any(line.startswith("cpu ") for line in outcome.stdout.splitlines())


def test_the_reasons_of_the_choice(aipc, laptop: Machine) -> None:
    outcome = aipc("devices", "--explain")
    text = outcome.stdout
    assert "1. cuda, through onnx: -" in text
    assert "AMD Radeon RX 7600 is here; its wheel" in " ".join(text.split())
    assert "GPU.0" not in text  # its maker's name stands there
    assert "4. gpu, through openvino: Intel(R) Arc(TM) Graphics (iGPU)" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_reasons_as_json(aipc, laptop: Machine) -> None:
    told = json.loads(aipc("devices", "--explain", "--json").stdout)
    assert [entry["place"]["kind"] for entry in told["order"]][:3] == ["cuda", "gpu", "npu"]
    assert all(entry["place"]["source"] for entry in told["order"])


def test_nothing_is_loaded_that_is_not_needed(tmp_path) -> None:
    told = loaded_by(tmp_path, "devices")
    assert "openvino" in told
    assert not told & {"openvino_genai", "onnxruntime", "onnxruntime_genai", "transformers", "rich"}


def test_what_was_tuned_is_named_with_whether_it_still_holds(aipc, laptop, tmp_path) -> None:
    trial = Trial(Setup("openvino", "NPU", None), SetupFigures(0.5, 0.05, 1000))
    records = Records(tmp_path / "home" / "tuned")
    now = fingerprint(laptop.devices)
    for name, machine in (("fresh", now), ("stale", dataclasses.replace(now, versions={}))):
        when = "2026-11-22T10:00:00+00:00"
        work = Work()
        records.save(Tuned(name, name, "latency", work, when, machine, trial, 2.0, (trial,)))
    told = " ".join(aipc("devices", "--explain").stdout.split())
    assert "Measured here, which goes first for these models:" in told
    assert "- fresh: npu openvino as they are, the runtime's own defaults; measured here on" in told
    assert (
        "- stale: npu openvino as they are, the runtime's own defaults; not used any more" in told
    )
    listed = json.loads(aipc("devices", "--explain", "--json").stdout)["tuned"]
    assert [one["label"] for one in listed] == ["fresh", "stale"]
