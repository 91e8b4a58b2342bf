from __future__ import annotations

import pytest

from aipc.runtimes.onnx.placement import read_placement

og = pytest.importorskip("onnxruntime_genai", reason="pip install 'aipc[onnx]'")


def test_every_node_of_the_loaded_session_is_counted(tiny_onnx):
    folder, config, _ = tiny_onnx("llama-gqa")
    model = og.Model(og.Config(str(folder)))
    placement = read_placement(model)
    assert set(placement) == {"CPUExecutionProvider"}
    assert placement["CPUExecutionProvider"] > 4 * config["num_hidden_layers"]
