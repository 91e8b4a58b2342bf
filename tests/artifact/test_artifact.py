from __future__ import annotations

import json

import pytest

from aipc.artifact import manifest
from aipc.choose import read_artifact
from aipc.errors import ArtifactError


def test_a_vendors_openvino_folder_tells_its_weights(tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    config = {"quantization_config": {"bits": 4}}
    (tmp_path / "openvino_config.json").write_text(json.dumps(config))
    found = read_artifact(tmp_path)
    assert (found.target, found.weights, found.kinds) == ("openvino", "int4", None)


def test_our_onnx_folder_tells_recipe_and_provider(tmp_path):
    config = {"model": {"decoder": {"session_options": {"provider_options": [{"dml": {}}]}}}}
    (tmp_path / "genai_config.json").write_text(json.dumps(config))
    manifest.write(tmp_path, "artifact", "x", {"recipe": {"weight_format": "int8"}})
    found = read_artifact(tmp_path)
    assert (found.target, found.weights, found.provider) == ("onnx", "int8", "DML")
    assert found.kinds == {"cpu", "directml"}
    assert found.nbytes == sum(file.stat().st_size for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("facts", "activations"),
    [
        ({"target": "webgpu"}, "fp16"),  # made before it was stated
        ({"target": "cpu"}, "fp32"),
        ({"target": "webgpu", "activations": "fp32"}, "fp32"),
        ({}, None),
    ],
)
def test_an_onnx_folder_tells_what_it_computes_in(facts, activations, tmp_path):
    (tmp_path / "genai_config.json").write_text(json.dumps({"model": {"decoder": {}}}))
    manifest.write(tmp_path, "artifact", "x", facts)
    assert read_artifact(tmp_path).activations == activations


@pytest.mark.parametrize("decoder", [{}, {"session_options": {}}])
def test_a_folder_that_names_no_provider_is_for_the_cpu(tmp_path, decoder):
    (tmp_path / "genai_config.json").write_text(json.dumps({"model": {"decoder": decoder}}))
    assert read_artifact(tmp_path).kinds == {"cpu"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": 3}'])
def test_a_damaged_genai_config_is_told(tmp_path, content):
    (tmp_path / "genai_config.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"genai_config.json' can't be read.*convert the model"):
        read_artifact(tmp_path)


def test_another_folder_is_no_artifact(tmp_path):
    with pytest.raises(ArtifactError, match="holds no model"):
        read_artifact(tmp_path)
