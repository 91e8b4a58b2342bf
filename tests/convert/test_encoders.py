"""Every kind of encoder against transformers: hidden states and scores of tiny random ones."""

from __future__ import annotations

import json

import encoders
import numpy as np
import pytest

from aipc.artifact.files import runtime_of
from aipc.artifact.sentence_model import task_of
from aipc.convert.recipe import Recipe
from aipc.errors import (
    ArtifactError,
    CheckpointError,
    ConversionError,
    UnsupportedModel,
    UsageError,
)
from aipc.models.store import Store
from aipc.session.convert import convert

ENCODERS = [name for name in encoders.NAMES if not name.startswith(("qwen3", "gemma3"))]
CPU = "CPUExecutionProvider"
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.mark.parametrize("name", encoders.NAMES)
def test_states_and_scores_are_transformers(name, tmp_path):
    expected = encoders.Expected(name)
    folder = expected.write(tmp_path / name)
    if name in {"qwen3", "gemma3"}:
        add_module(folder, "Pooling", {"pooling_mode_lasttoken": True})
    if name == "qwen3-tokens":
        tokens = {"true_token_id": encoders.TRUE, "false_token_id": encoders.FALSE}
        add_module(folder, "LogitScore", tokens)
    store = Store(tmp_path / "home")
    made = convert(str(folder), Recipe("fp16"), store=store, notify=lambda _: None)
    found = computed(made.path)
    assert np.abs(found - expected.states).max() < 1e-3
    assert made.facts["task"] == ("embeddings" if found.shape[1] > 1 else "scores")


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("name", ENCODERS)
def test_onnx_runtime_computes_the_same(name, target, tmp_path):
    expected = encoders.Expected(name)
    folder = expected.write(tmp_path / name)
    store = Store(tmp_path / "home")
    made = convert(
        str(folder), Recipe("fp16"), target=target, runtime="onnx", store=store, notify=str
    )
    found = computed_by_onnx(made.path)
    within = 1e-3 if target == "cpu" else 0.06  # which computes in float16
    assert np.abs(found - expected.states).max() < within
    assert task_of(made.path) == made.facts["task"]
    assert made.facts["task"] == ("embeddings" if found.shape[1] > 1 else "scores")
    assert runtime_of(made.path) == made.facts["runtime"] == "onnx"


def computed_by_onnx(artifact):
    """As `computed`."""
    import onnxruntime

    graph = onnxruntime.InferenceSession(artifact / "model.onnx", providers=[CPU])
    ids, mask, types = encoders.batch()
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    names = {one.name for one in graph.get_inputs()}
    (out,) = graph.run(None, {name: value for name, value in given.items() if name in names})
    return out[mask.astype(bool)] if out.ndim == 3 else out


def add_module(folder, kind, settings):
    """One of sentence-transformers', behind the network."""
    stated = [{"path": "", "type": "x.Transformer"}, {"path": f"1_{kind}", "type": f"x.{kind}"}]
    (folder / "modules.json").write_text(json.dumps(stated))
    (folder / f"1_{kind}").mkdir()
    (folder / f"1_{kind}" / "config.json").write_text(json.dumps(settings))


def computed(artifact):
    """Hidden states of all tokens of the batch, or its scores."""
    import openvino

    ids, mask, types = encoders.batch()
    graph = openvino.Core().compile_model(artifact / "openvino_model.xml", "CPU", EXACT)
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    names = {one.any_name for one in graph.inputs}
    out = graph({name: value for name, value in given.items() if name in names})[0]
    return out[mask.astype(bool)] if out.ndim == 3 else out


def test_what_has_no_graph_or_no_meaning_is_refused(tmp_path):
    folder = encoders.Expected("bert").write(tmp_path / "bert")
    store = Store(tmp_path / "home")

    def refused(kind, match, recipe=None, **options):
        with pytest.raises(kind, match=match):
            convert(str(folder), recipe, store=store, notify=lambda _: None, **options)

    refused(ConversionError, "not converted for npu with openvino", target="npu")
    gptq = Recipe("int4", quantizer="gptq")
    refused(UsageError, "--quantizer gptq reads what a network writes", gptq)
    made = convert(str(folder), store=store, notify=lambda _: None)
    assert "-int8-" in made.path.name
    change(folder, position_embedding_type="relative_key")
    refused(UnsupportedModel, "has position_embedding_type = 'relative_key'")
    change(folder, position_embedding_type="absolute", num_hidden_layers=1)
    refused(CheckpointError, r"16 tensors, such as encoder\.layer\.1.*are of no part")
    change(folder, num_hidden_layers=2, max_position_embeddings=99)
    refused(CheckpointError, "position_embeddings.weight has shape")


def test_modules_that_are_not_built_are_refused(tmp_path):
    folder = encoders.Expected("bert").write(tmp_path / "bert")
    add_module(folder, "LSTM", {})
    with pytest.raises(ArtifactError, match="go through a module 'LSTM', which is not known"):
        convert(str(folder), store=Store(tmp_path / "home"), notify=lambda _: None)


def test_a_decoder_that_reads_from_both_ends_writes_no_text(tmp_path):
    folder = encoders.Expected("gemma3").write(tmp_path / "gemma3")
    with pytest.raises(UnsupportedModel, match="reads texts from both ends, and can't write any"):
        convert(str(folder), store=Store(tmp_path / "home"), notify=lambda _: None)


def test_four_bits_of_a_small_encoder_are_warned_of(tmp_path):
    folder = encoders.Expected("bert").write(tmp_path / "bert")
    made = convert(str(folder), Recipe("int4"), store=Store(tmp_path / "home"), notify=str)
    assert "4 bits are coarse for so small an encoder" in made.notes[0]
    assert computed(made.path).shape == encoders.Expected("bert").states.shape


def change(folder, **settings):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
