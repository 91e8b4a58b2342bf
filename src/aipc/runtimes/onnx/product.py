"""A large product of matrices through ONNX Runtime, to see how fast the processor multiplies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc import telemetry

_BITS, _BLOCK, _LEVEL = 4, 128, 4  # accuracy level 4: the rows are rounded to 8 bits
_OPSETS = (("", 21), ("com.microsoft", 1))
_IR_VERSION = 10  # of ONNX 1.16, which brought opset 21


def onnx_products(
    rows: npt.NDArray[np.float32], threads: int
) -> Iterator[tuple[str, Callable[[], object]]]:
    """(kernel, what multiplies ``rows`` once with a square matrix), on the processor."""
    telemetry.switch_off()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    for name, model in _models(*rows.shape):
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        session.run(None, {"rows": rows})  # the first starts its threads
        yield f"ONNX Runtime, {name}", partial(session.run, None, {"rows": rows})


def _models(count: int, width: int) -> Iterator[tuple[str, bytes]]:
    from onnx import helper

    blocks = width // _BLOCK
    codes = np.random.default_rng(1).integers(
        0, 256, (width, blocks, _BLOCK * _BITS // 8), np.uint8
    )
    node = helper.make_node(
        "MatMulNBits",
        ["rows", "codes", "scales"],
        ["product"],
        domain="com.microsoft",
        K=width,
        N=width,
        bits=_BITS,
        block_size=_BLOCK,
        accuracy_level=_LEVEL,
    )
    constants = {"codes": codes, "scales": np.full(width * blocks, 0.01, np.float32)}
    kernel = f"MatMulNBits, {_BITS}-bit weights in blocks of {_BLOCK}, 8-bit rows"
    yield kernel, _model(node, constants, count, width)
    plain = helper.make_node("MatMul", ["rows", "weights"], ["product"])
    weights = {"weights": np.full((width, width), 0.01, np.float32)}
    yield "float32", _model(plain, weights, count, width)


def _model(node: Any, constants: dict[str, npt.NDArray[Any]], count: int, width: int) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    ends = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [count, width])]
        for name in ("rows", "product")
    )
    stored = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph([node], "product", *ends, stored)
    opsets = [helper.make_opsetid(*one) for one in _OPSETS]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())
