from __future__ import annotations

import math
import sys

import pytest
import tiny

from aipc.convert import targets
from aipc.convert.onnx.export import BuilderExport
from aipc.convert.openvino.export import OptimumExport
from aipc.convert.recipe import Recipe
from aipc.models import names
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import FolderSource
from aipc.models.store import Store
from aipc.progress import silent
from aipc.session.convert import convert
from aipc.session.parameters import count_parameters


@pytest.fixture
def checkpoint(tmp_path):
    """A tiny folder, and how many weights its tensors have."""
    config = tiny.CONFIGS["phi3"]
    tensors = tiny.random_tensors(config)
    folder = tiny.write_checkpoint(tmp_path / "phi3", config, tensors)
    return folder, sum(math.prod(values.shape) for values in tensors.values())


def refuse(*_args):
    raise AssertionError("nothing is to be fetched or announced")


def test_the_catalogue_knows_without_a_download(tmp_path, monkeypatch):
    store = Store(tmp_path)
    monkeypatch.setattr(store, "fetch", refuse)
    counted = {
        name: count_parameters(model.source, store, silent, refuse)
        for name, model in CATALOGUE.items()
    }
    assert counted["smollm2-135m"] == 134_515_008
    assert counted["phi-3-mini"] == 3_821_079_552
    assert all(count > 1e7 for count in counted.values())


def test_a_checkpoint_is_counted_and_what_was_made_of_it_states_the_same(
    checkpoint, tmp_path, monkeypatch
):
    folder, parameters = checkpoint
    store, source = Store(tmp_path / "home"), names.resolve(str(folder))
    announced = []
    assert count_parameters(source, store, silent, lambda: announced.append(1)) == parameters
    assert announced == [1]
    convert(str(folder), Recipe(group_size=32), store=store)
    monkeypatch.setattr(store, "fetch", refuse)
    assert count_parameters(source, store, silent, refuse) == parameters


def test_a_head_that_is_stored_beside_its_embedding_is_no_weight_more(tmp_path):
    config = tiny.CONFIGS["gemma"]
    tensors = tiny.random_tensors(config)
    parameters = sum(math.prod(values.shape) for values in tensors.values())
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    folder = str(tiny.write_checkpoint(tmp_path / "gemma", config, tensors))
    store = Store(tmp_path / "home")
    assert count_parameters(names.resolve(folder), store, silent) == parameters
    made = convert(folder, Recipe(group_size=32), store=store)
    assert made.facts["parameters"] == parameters


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_a_vendors_export_states_what_its_checkpoint_has(tmp_path, monkeypatch, runtime):
    """The exporter is a program that writes one file; the child process is a real one."""
    write = "import sys; open(sys.argv[1] + '/made', 'w').write('x')"
    kind = {"openvino": OptimumExport, "onnx": BuilderExport}[runtime]
    monkeypatch.setattr(kind, "is_installed", classmethod(lambda _: True))
    monkeypatch.setattr(kind, "packages", ())
    monkeypatch.setattr(
        kind, "command", lambda _, folder: [sys.executable, "-c", write, str(folder)]
    )
    monkeypatch.setattr(kind, "finish", lambda *_: None)
    config = tiny.LLAMA | {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"]}
    tensors = tiny.random_tensors(tiny.LLAMA)
    folder = str(tiny.write_checkpoint(tmp_path / "neox", config, tensors))
    made = convert(folder, Recipe("int8"), runtime=runtime, store=Store(tmp_path / "home"))
    assert made.facts["parameters"] == sum(math.prod(one.shape) for one in tensors.values())


def test_the_artifact_of_another_model_states_nothing(checkpoint, tmp_path):
    folder, _ = checkpoint
    store = Store(tmp_path / "home")
    made = convert(str(folder), Recipe(group_size=32), store=store)
    (found,) = store.artifacts_of(names.resolve(str(folder)))
    assert found.path == made.path
    other = tmp_path / "phi3-other"
    folder.rename(other)
    assert not list(store.artifacts_of(FolderSource(other)))


@pytest.mark.parametrize(("least", "weights"), [(10**9, "int8"), (1000, "int4")])
@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_the_default_recipe_goes_by_the_models_size(
    checkpoint, tmp_path, monkeypatch, runtime, least, weights
):
    monkeypatch.setattr(targets, "SMALL_PARAMETERS", least)
    made = convert(str(checkpoint[0]), runtime=runtime, store=Store(tmp_path / "home"))
    assert made.facts["recipe"]["weight_format"] == weights
    assert made.facts["parameters"] == checkpoint[1]
    again = convert(str(checkpoint[0]), runtime=runtime, store=Store(tmp_path / "home"))
    assert again.reused
