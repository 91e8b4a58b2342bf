"""Every runtime's scores against the reference network, and what a scorer refuses."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from aipc.errors import DeviceError, EngineError, UsageError
from aipc.runtimes.fake import FakeRuntime
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.runtimes.openvino.engine import OpenVINORuntime
from aipc.runtimes.openvino.scorer import EXACT, PIECE, OpenVINOScorer

TEXT = [int(token) for token in np.random.default_rng(3).integers(0, 256, 100)]
"""Longer than a piece, so that one has to go on with the cache of the one before."""


def scored(scorer, ids):
    """All pieces together, which have to be small ones."""
    pieces = list(scorer.logits(ids))
    assert all(piece.dtype == np.float32 for piece in pieces)
    return np.concatenate(pieces)


@pytest.mark.parametrize("name", ["llama-gqa", "phi3-window"])
def test_openvino_scores_as_the_reference_does(name, tiny_artifact):
    folder, config, tensors = tiny_artifact(name)
    scorer = OpenVINORuntime().scorer(folder, "cpu", EXACT)
    assert len(TEXT) > PIECE
    expected = reference.logits(config, tensors, np.array(TEXT))
    np.testing.assert_allclose(scored(scorer, TEXT), expected, atol=2e-3)
    np.testing.assert_allclose(scored(scorer, TEXT), expected, atol=2e-3)  # nothing is left over
    assert scorer.facts["numerics"]["INFERENCE_PRECISION_HINT"] in {"f32", "float"}
    scorer.close()


def test_a_text_past_the_rotary_switch_is_computed_whole(tiny_artifact):
    folder, config, tensors = tiny_artifact("phi3-longrope")
    scorer = OpenVINORuntime().scorer(folder, "cpu", EXACT)
    expected = reference.logits(config, tensors, np.array(TEXT))
    np.testing.assert_allclose(scored(scorer, TEXT), expected, atol=2e-3)


@pytest.mark.parametrize("name", ["llama-gqa", "phi3-longrope"])
def test_onnx_scores_as_the_reference_does(name, tiny_onnx):
    folder, config, tensors = tiny_onnx(name)
    scorer = ONNXRuntime().scorer(folder, "cpu", {})
    expected = reference.logits(config, tensors, np.array(TEXT))
    np.testing.assert_allclose(scored(scorer, TEXT), expected, atol=2e-3)
    scorer.close()
    with pytest.raises(EngineError, match="closed"):
        scored(scorer, TEXT)


def test_a_property_of_the_pipeline_alone_is_left_out_and_named(tiny_artifact):
    properties = {"ATTENTION_BACKEND": "SDPA", "INFERENCE_PRECISION_HINT": "f32"}
    scorer = OpenVINOScorer(tiny_artifact("llama-gqa")[0], "cpu", properties)
    assert scorer.facts["left_out"] == ["ATTENTION_BACKEND"]
    assert scorer.facts["properties"] == {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.mark.parametrize("ids", [[], [260], [-1]])
def test_a_text_that_can_not_be_scored_is_refused(ids, tiny_artifact):
    with pytest.raises(EngineError):
        scored(OpenVINOScorer(tiny_artifact("llama-gqa")[0], "cpu", EXACT), ids)
    with pytest.raises(EngineError):
        scored(FakeRuntime().scorer(tiny_artifact("llama-gqa")[0], "cpu", {}), ids)


def test_a_closed_scorer_says_so(tiny_artifact):
    scorer = OpenVINOScorer(tiny_artifact("llama-gqa")[0], "cpu", EXACT)
    scorer.close()
    scorer.close()
    with pytest.raises(EngineError, match="closed"):
        scored(scorer, TEXT)


def test_who_gives_no_scores_says_so_before_loading(tiny_artifact, tmp_path):
    assert not OpenVINORuntime().capabilities("npu").logits
    with pytest.raises(DeviceError, match="no scores"):
        OpenVINORuntime().scorer(tiny_artifact("llama-gqa")[0], "npu", {})
    with pytest.raises(UsageError, match="does not know"):
        FakeRuntime().scorer(tmp_path, "cpu", {"X": "1"})
