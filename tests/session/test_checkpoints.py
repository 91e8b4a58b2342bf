"""A model with adapters, from its name to an artifact that computes what peft does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import lora
import numpy as np
import onnx_scorer
import openvino_scorer
import pytest

from aipc.convert.recipe import Recipe
from aipc.errors import ArtifactError, UsageError
from aipc.measure.quality.reference import find_reference
from aipc.models import names
from aipc.models.source import AdaptedSource
from aipc.models.store import Store
from aipc.progress import silent, unheard
from aipc.session.convert import convert

PEFT = Path(__file__).parents[1] / "checkpoint" / "adapters" / "peft.npz"
FP16 = Recipe(weight_format="fp16")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


@pytest.fixture
def adapted(tmp_path):
    """The name of a case's network with its adapter."""

    def write(name, scale=""):
        base = lora.write_base(tmp_path / f"base-{name}", name)
        own = lora.write_case(tmp_path / name, name)
        return names.with_adapters(str(base), [f"{own}{scale}"])

    return write


@pytest.mark.parametrize("name", ["all", "dora", "tied-embedding", "fused-dora", "lora-bias"])
def test_the_artifacts_compute_what_peft_does(name, adapted, store):
    expected = np.load(PEFT)[name]
    for runtime, scorer in (
        ("openvino", openvino_scorer.Scorer),
        ("onnx", onnx_scorer.Scorer),
    ):
        made = convert(adapted(name), FP16, runtime=runtime, store=store, notify=unheard)
        found = scorer(made.path).logits(lora.IDS)[[4, -1]]
        # what is merged is rounded to 16 bits
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max(), runtime


def test_provenance(adapted, store, tmp_path):
    made = convert(adapted("plain", ":0.5"), FP16, store=store, notify=unheard)
    (told,) = made.facts["source"]["adapters"]
    files = {
        file: hashlib.sha256((tmp_path / "plain" / file).read_bytes()).hexdigest()
        for file in ("adapter_config.json", "adapter_model.safetensors")
    }
    assert told == {
        "kind": "folder",
        "path": str(tmp_path / "plain"),
        "name": "plain",
        "scale": 0.5,
        "files": files,
    }
    assert "base-plain" in made.path.name
    assert "+plain-" in made.path.name


def test_another_scale_or_adapter_is_another_artifact(adapted, store, tmp_path):
    whole = convert(adapted("plain"), FP16, store=store, notify=unheard)
    half = convert(adapted("plain", ":0.5"), FP16, store=store, notify=unheard)
    alone = convert(str(tmp_path / "base-plain"), FP16, store=store, notify=unheard)
    again = convert(adapted("plain"), FP16, store=store, notify=unheard)
    assert len({whole.path, half.path, alone.path}) == 3
    assert (again.path == whole.path) is False  # its files were written anew
    source = names.resolve(adapted("plain"), store)
    assert isinstance(source, AdaptedSource)
    base = names.resolve(str(tmp_path / "base-plain"), store)
    assert all("+" not in kept.name for kept in store.artifacts_of(base))


def test_evaluated_against_the_merged_floats(adapted, store):
    made = convert(adapted("plain"), Recipe(weight_format="int8"), store=store, notify=unheard)
    reference = find_reference(made.path, None, store, silent, unheard)
    assert "+plain-" in reference.artifact.name
    assert reference.artifact != made.path


def test_an_artifact_takes_none(adapted, store, tmp_path):
    made = convert(adapted("plain"), FP16, store=store, notify=unheard)
    with pytest.raises(UsageError, match=r"converted already, so no adapter can be merged"):
        names.resolve(names.with_adapters(str(made.path), [str(tmp_path / "plain")]), store)


def test_nothing_is_left_of_one_that_does_not_fit(tmp_path, store):
    base = lora.write_base(tmp_path / "base", "fused")
    own = lora.write_case(tmp_path / "own", "plain")
    with pytest.raises(Exception, match="is an adapter that changes"):
        convert(names.with_adapters(str(base), [str(own)]), FP16, store=store, notify=unheard)
    assert store.names(unfinished=True) == []


def test_what_has_adapters_is_in_no_file(adapted, store):
    with pytest.raises(ArtifactError, match=r"a model and adapters, in no file together"):
        store.fetch(names.resolve(adapted("plain"), store))
