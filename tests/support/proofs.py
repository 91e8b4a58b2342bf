"""What `aipc prove` might have found of a laptop with an NPU."""

from __future__ import annotations

from dataclasses import replace

from aipc.measure.prove.record import (
    MEASURED,
    SCHEMA,
    WRONG,
    DeviceFault,
    DeviceProof,
    FoundSpeed,
    MachineProof,
    ProvenMachine,
    ProvenModel,
    TokenAgreement,
)
from aipc.measure.statistics import Interval


def speed(token_s, prompt_per_s):
    """Of five runs, with intervals of a twentieth to both sides."""

    def around(value):
        return Interval(0.95 * value, value, 1.05 * value, 0.94)

    return FoundSpeed(128, 5, around(prompt_per_s), around(token_s))


CPU = DeviceProof(
    runtime="openvino",
    device="CPU",
    kind="cpu",
    name="Intel(R) Core(TM) Ultra 7 155H",
    driver=None,
    memory_bytes=None,
    precisions=("fp32", "int8"),
    claim=MEASURED,
    weights="int8-sym",
    speed=speed(0.02, 200.0),
)
NPU = replace(
    CPU,
    device="NPU",
    kind="npu",
    name="Intel(R) AI Boost",
    driver="32.0.100.3104",
    speed=speed(0.01, 2000.0),
)


def a_proof():
    """The NPU is wrong after long prompts."""
    words = "after a prompt of 2,000 tokens the CPU would have chosen 1 of its 16 tokens"
    npu = replace(
        NPU,
        judge="openvino",
        agreements=(TokenAgreement("2,000 tokens", 2000, 16, 1, 8.2, 1),),
        cut=("a long answer",),
        faults=(DeviceFault(WRONG, words),),
    )
    machine = ProvenMachine(
        processor=CPU.name,
        architecture="AMD64",
        cores=16,
        threads=22,
        features=("avx2",),
        memory_bytes=34_000_000_000,
        system="Windows 10.0.26100",
        kernel=None,
        python="3.12.7",
        versions={"openvino": "2026.4.1"},
    )
    model = ProvenModel("smollm2-135m", 134_515_008, 8192)
    return MachineProof(SCHEMA, "2026-11-29", "0.1.0", 5.0, 240.0, 0.1, machine, model, (CPU, npu))
