"""What OpenVINO's repacking of the weights costs the processor, by how they are stored.

    python benchmarks/repack.py [--rounds 3] [KEY=VALUE ...]

Four matrices of Phi-3-mini's widest shape, 201 million random weights, stored in each way that
OpenVINO keeps compressed; each first inference is in a process of its own, under the properties
that are given.  Set ONEDNN_MAX_CPU_ISA to see other processors' kernels, and
ONEDNN_VERBOSE=profile_create to see the layouts that are chosen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

ROWS, WIDTH, MATRICES = 16384, 3072, 4
GIVEN = ("INFERENCE_PRECISION_HINT=f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE=128")
BITS = {"i4": 4, "u4": 4, "nf4": 4, "f4e2m1": 4, "u2": 2, "i8": 8, "u8": 8}


@dataclass(frozen=True)
class Form:
    """How a matrix is stored."""

    type: str
    group: int = 128
    scales: str = "f16"
    zero_point: int | None = None
    """One for all weights."""
    is_transposed: bool = False
    """Inputs before outputs."""

    def __str__(self) -> str:
        group = "rows" if self.group == WIDTH else f"groups of {self.group}"
        parts = [self.type, group]
        parts += ["f32 scales"] if self.scales == "f32" else []
        parts += [] if self.zero_point is None else [f"zero point {self.zero_point}"]
        return ", ".join([*parts, "transposed"] if self.is_transposed else parts)


FORMS = (
    Form("i4"),
    Form("i4", scales="f32"),
    Form("i4", is_transposed=True),
    Form("i4", group=32),
    Form("i4", group=WIDTH),
    Form("i4", group=WIDTH, is_transposed=True),
    Form("u4", zero_point=8),
    Form("u4", zero_point=8, is_transposed=True),
    Form("nf4"),
    Form("f4e2m1"),
    Form("u2", zero_point=2),
    Form("i8"),
    Form("i8", group=WIDTH),
    Form("u8", zero_point=128),
)


def matrix(form: Form, rng: np.random.Generator) -> Any:
    """The weights as a graph has them; f32 [WIDTH, ROWS] when transposed, else [ROWS, WIDTH]."""
    import openvino
    from openvino import opset15 as ops

    groups = WIDTH // form.group
    shape = [groups, form.group, ROWS] if form.is_transposed else [ROWS, groups, form.group]
    type_ = getattr(openvino.Type, form.type)
    codes = openvino.Tensor(type_, openvino.Shape(shape))
    codes.data.ravel().view(np.uint8)[:] = rng.integers(
        0, 120, ROWS * WIDTH * BITS[form.type] // 8, np.uint8
    )
    scale_type = np.float32 if form.scales == "f32" else np.float16
    found = ops.convert(ops.constant(codes), form.scales)
    if form.zero_point is not None:
        zero = ops.constant(np.full((1, 1, 1), form.zero_point, np.uint8))
        found = ops.subtract(found, ops.convert(zero, form.scales))
    shape[1 if form.is_transposed else 2] = 1
    scaled = ops.multiply(found, ops.constant(np.full(shape, 0.01, scale_type)))
    flat = (WIDTH, ROWS) if form.is_transposed else (ROWS, WIDTH)
    return ops.convert(ops.reshape(scaled, np.array(flat), False), "f32")


def measure(form: Form, properties: dict[str, str]) -> dict[str, float | str]:
    """Processor and wall seconds of the first inference, and the primitive that computes it."""
    import openvino
    from openvino import opset15 as ops

    rng = np.random.default_rng(0)
    given = ops.parameter([-1, WIDTH], np.float32)
    products = [
        ops.matmul(given, matrix(form, rng), False, not form.is_transposed) for _ in range(MATRICES)
    ]
    model = openvino.Core().compile_model(openvino.Model(products, [given]), "CPU", properties)
    request = model.create_infer_request()
    cpu, wall = time.process_time(), time.perf_counter()
    request.infer([np.ones((1, WIDTH), np.float32)])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    nodes = [node.get_rt_info() for node in model.get_runtime_model().get_ops()]
    products = [node for node in nodes if node["layerType"].value == "FullyConnected"]
    kernel = f"{products[0]['primitiveType'].value} of {products[0]['runtimePrecision'].value}"
    return {"cpu": cpu, "wall": wall, "kernel": kernel}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("properties", nargs="*", default=GIVEN, metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--form", help=argparse.SUPPRESS)  # of one process
    asked = parser.parse_args()
    if asked.form:
        properties = dict(one.split("=", 1) for one in asked.properties)
        print(json.dumps(measure(Form(**json.loads(asked.form)), properties)))
        return
    print(f"{'':42}{'processor':>11}{'wall':>9}  kernel")
    for form in FORMS:
        command = [sys.executable, __file__, "--form", json.dumps(asdict(form)), *asked.properties]
        runs = [
            json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
            for _ in range(asked.rounds)
        ]
        cpu, wall = (statistics.median(run[key] for run in runs) for key in ("cpu", "wall"))
        print(f"{form!s:42}{cpu:9.2f} s{wall:7.2f} s  {runs[0]['kernel']}")


if __name__ == "__main__":
    main()
