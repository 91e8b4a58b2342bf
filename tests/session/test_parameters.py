from __future__ import annotations

import math

import pytest
import tiny

from aipc.convert import targets
from aipc.convert.recipe import Recipe
from aipc.models import names
from aipc.models.names import CATALOGUE
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
    assert all(count > 1e8 for count in counted.values())


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
