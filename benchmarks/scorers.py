"""Scores of a whole window from an artifact of anybody's, by the runtime that it was made for.

Numerics are pinned where the runtime lets one, so that the stored weights are what differs:
OpenVINO and ONNX Runtime compute in float32; llama.cpp rounds activations to 8 bits whatever one
asks, and keeps its cache in float32 here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from aipc.runtimes.base import Scorer
from aipc.runtimes.openvino.scorer import EXACT, OpenVINOScorer

FLOAT32_ACTIVATIONS = 1
"""MatMulNBits' accuracy_level; the model builder's default for CPUs is 4, 8-bit activations."""


class Onnx:
    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        exact = _with_float32_activations(folder)
        self._session = onnxruntime.InferenceSession(exact, options)
        config = json.loads((folder / "genai_config.json").read_text("utf-8"))
        decoder = config["model"]["decoder"]
        self._cache = 1, decoder["num_key_value_heads"], 0, decoder["head_size"]

    def logits(self, ids: Sequence[int]) -> Iterator[np.ndarray]:
        window = np.array(ids, np.int64)
        given = {
            "input_ids": window[None],
            "attention_mask": np.ones((1, len(window)), np.int64),
            "position_ids": np.arange(len(window))[None],
        }
        feed = {one.name: given[one.name] if one.name in given else self._empty(one.type)
                for one in self._session.get_inputs()}  # fmt: skip
        yield self._session.run(["logits"], feed)[0][0].astype(np.float32)

    def _empty(self, kind: str) -> np.ndarray:
        """Keys or values of nothing yet."""
        return np.zeros(self._cache, {"tensor(float)": "f4", "tensor(float16)": "f2"}[kind])


class LlamaCpp:
    def __init__(self, folder: Path, context: int) -> None:
        import llama_cpp

        self._model = llama_cpp.Llama(
            str(folder / "model.gguf"),
            n_ctx=context,
            n_batch=context,
            n_threads=os.cpu_count(),
            n_threads_batch=os.cpu_count(),
            logits_all=True,
            type_k=llama_cpp.GGML_TYPE_F32,
            type_v=llama_cpp.GGML_TYPE_F32,
            verbose=False,
        )

    def logits(self, ids: Sequence[int]) -> Iterator[np.ndarray]:
        self._model.reset()
        self._model.eval(list(ids))
        yield self._model.scores[: len(ids)]


def open_scorer(folder: Path, context: int) -> Scorer:
    """The runtime for what lies in ``folder``, for windows of ``context`` tokens."""
    if (folder / "openvino_model.xml").exists():
        return OpenVINOScorer(folder, "cpu", EXACT)
    if (folder / "model.onnx").exists():
        return Onnx(folder)
    return LlamaCpp(folder, context)


def _with_float32_activations(folder: Path) -> str:
    import onnx

    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "MatMulNBits" and attribute.name == "accuracy_level":
                attribute.i = FLOAT32_ACTIVATIONS
    exact = folder / "exact.onnx"  # beside the file that holds its weights
    onnx.save(model, exact)
    return str(exact)
