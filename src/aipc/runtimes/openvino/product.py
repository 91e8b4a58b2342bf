"""A large product of matrices through OpenVINO, to see how fast a device multiplies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc import telemetry

_SETTINGS: tuple[Mapping[str, str], ...] = (
    {"INFERENCE_PRECISION_HINT": "f32"},
    {"INFERENCE_PRECISION_HINT": "bf16"},
    {"INFERENCE_PRECISION_HINT": "f16"},
    {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128"},
)
"""The last multiplies 8-bit integers."""


def openvino_products(
    rows: npt.NDArray[np.float32], device: str
) -> Iterator[tuple[str, Callable[[], object]]]:
    """(settings, what multiplies ``rows`` once with a square matrix), in every number format.

    Nothing where OpenVINO has no such device; formats that the device refuses are left out.
    """
    telemetry.switch_off()
    import openvino

    core = openvino.Core()
    if device not in core.available_devices:
        return
    supported = set(core.get_property(device, "SUPPORTED_PROPERTIES"))
    model = _product(*rows.shape)
    for settings in _SETTINGS:
        if set(settings) <= supported:
            try:
                request = core.compile_model(model, device, dict(settings)).create_infer_request()
                request.infer([rows])  # the first arranges the weights
            except RuntimeError:  # a number format that the device does not compute in
                continue
            named = ", ".join(f"{name}={value}" for name, value in settings.items())
            yield f"OpenVINO, 8-bit weights, {named}", partial(request.infer, [rows])


def _product(count: int, width: int) -> Any:
    """Weights in 8 bits, as an artifact has them."""
    import openvino
    from openvino import opset13 as ops

    rows = ops.parameter([count, width], np.float32)
    codes = np.random.default_rng(1).integers(-127, 127, (width, width), np.int8)
    scale = ops.constant(np.full((width, 1), 0.01, np.float16))
    weights = ops.multiply(ops.convert(ops.constant(codes), "f16"), scale)
    product = ops.matmul(rows, ops.convert(weights, "f32"), transpose_a=False, transpose_b=True)
    return openvino.Model([product], [rows])
