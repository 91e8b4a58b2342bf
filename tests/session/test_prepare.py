"""What was tuned is taken, where it holds and the user does not ask for something else."""

from __future__ import annotations

import dataclasses
import json

import pytest
import tiny

from aipc.artifact import manifest
from aipc.choose.measured import Records, SetupFigures, Trial, Tuned, Work, fingerprint
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.errors import UsageError
from aipc.generate import SamplingDefaults
from aipc.models import names
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import ArtifactSource, HubSource, describe
from aipc.models.store import Store
from aipc.session import prepare
from aipc.session.place import SessionOptions
from aipc.session.prepare import PreparedModel, prepare_session

CPU = Device("CPU", "cpu", "A CPU", precisions=("fp32", "bf16"), runtimes=("openvino",))
RECIPE = Recipe("int8")
TUNED_PROPERTIES = {"NUM_STREAMS": "1"}


@pytest.fixture
def model(tmp_path):
    config = tiny.CONFIGS["phi3"]
    return str(tiny.write_checkpoint(tmp_path / "phi3", config, tiny.random_tensors(config)))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "_devices", lambda *_: (CPU,))
    return Store(tmp_path / "home")


@pytest.fixture
def keep(store, model):
    """Keep a record of the model, as if measured under ``machine``."""

    def tuned(machine=None, recipe=RECIPE, name=model):
        choice = Trial(
            Setup("openvino", "CPU", recipe, TUNED_PROPERTIES), SetupFigures(1.0, 0.1, 1)
        )
        Records(store.tuned).save(
            Tuned(
                model=names.resolve(name).name,
                label=name,
                goal="latency",
                work=Work(),
                when="2026-11-22T10:00:00+00:00",
                machine=machine or fingerprint((CPU,)),
                choice=choice,
                gain=1.7,
                trials=(choice,),
            )
        )

    return tuned


def prepared(model, store, recipe=None, **wanted):
    told = []
    made = prepare_session(
        model, SessionOptions(**wanted), recipe=recipe, store=store, notify=told.append
    )
    return made, made.facts, told


def test_without_a_record_the_default_order_and_the_rules_decide(model, store):
    made, facts, _ = prepared(model, store)
    assert facts["weights"] == "int8"  # it has fewer than a billion parameters
    assert made.placement.plan.properties == {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    assert facts["tuned"] is None
    assert not any("tuned on" in reason for reason in facts["why"])
    made, facts, _ = prepared(model, store, Recipe())
    assert facts["weights"] == "int4"
    assert made.placement.plan.properties["INFERENCE_PRECISION_HINT"] == "f32"


def test_a_record_decides_weights_and_properties_and_says_so(model, store, keep):
    keep()
    made, facts, told = prepared(model, store)
    assert facts["weights"] == "int8"
    assert made.placement.plan.properties == TUNED_PROPERTIES
    assert facts["tuned"] == "2026-11-22T10:00:00+00:00"
    assert facts["why"][0].startswith(
        "CPU: measured here on 2026-11-22 for latency: 100 ms a token"
    )
    assert any(line.startswith("converting to int8-sym") for line in told)
    assert facts["asked"] == {"device": "auto", "runtime": "auto"}


def test_an_artifact_that_is_gone_is_made_again_and_announced(model, store, keep):
    keep()
    made, _, _ = prepared(model, store)
    assert not any("converting" in line for line in prepared(model, store)[2])
    store.remove(made.folder.name)
    again, _, told = prepared(model, store)
    assert again.folder == made.folder
    assert any("converting to int8-sym" in line for line in told)


def test_the_users_flags_win(model, store, keep):
    keep()
    _, facts, _ = prepared(model, store, recipe=Recipe("fp16"))
    assert facts["weights"] == "fp16"
    assert facts["why"][-1] == (
        "what was tuned on 2026-11-22 is not used: another recipe was requested"
    )
    made, facts, _ = prepared(model, store, device="cpu", properties={"NUM_STREAMS": "2"})
    assert facts["weights"] == "int8"
    assert made.placement.plan.properties == {"NUM_STREAMS": "2"}


def test_another_machine_or_version_is_not_measured(model, store, keep):
    keep(dataclasses.replace(fingerprint((CPU,)), versions={}, threads=1))
    _, facts, _ = prepared(model, store)
    assert facts["weights"] == "int8"
    assert facts["tuned"] is None
    assert "the processor was" in facts["why"][-1]
    assert "openvino was not installed, is" in facts["why"][-1]
    assert facts["why"][-1].endswith("`aipc tune` measures again")


def test_a_record_of_earlier_recipes_is_told_and_not_used(model, store, keep):
    keep()
    (file,) = store.tuned.glob("*.json")
    table = json.loads(file.read_text())
    del table["revision"], table["hash"]  # neither was there then
    file.write_text(json.dumps(table))
    _, facts, _ = prepared(model, store)
    assert facts["tuned"] is None
    assert facts["why"][-1] == (
        "what was tuned on 2026-11-22 is not used: its recipe int8-sym is of an earlier "
        "version; `aipc tune` measures again"
    )


def test_a_record_that_can_not_be_read_is_told_and_not_used(model, store, keep):
    keep()
    (file,) = store.tuned.glob("*.json")
    file.write_text("{")
    _, facts, _ = prepared(model, store)
    assert facts["weights"] == "int8"
    assert "what was tuned can't be read" in facts["why"][-1]


def test_a_users_own_artifact_keeps_its_weights_and_has_a_record_too(model, store, keep):
    made, _, _ = prepared(model, store)
    keep(recipe=None, name=str(made.folder))
    again, facts, _ = prepared(str(made.folder), store)
    assert again.folder == made.folder
    assert again.placement.plan.properties == TUNED_PROPERTIES
    assert facts["why"][0].startswith("CPU: measured here")
    with pytest.raises(UsageError, match="converted already"):
        prepared(str(made.folder), store, recipe=RECIPE)


def test_the_catalogues_sampling_is_found_by_the_name_and_by_an_artifacts_folder(tmp_path):
    known, folder = CATALOGUE.default, tmp_path / "made"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    manifest.write(folder, "artifact", "made", {"source": describe(known.source)})
    stated = (SamplingDefaults("the catalogue", known.sampling, {}),)
    for source in (known.source, ArtifactSource(folder)):
        assert PreparedModel(source, folder, None, None).sampling == stated


def test_what_is_stated_for_answers_without_thinking_comes_along(tmp_path):
    known = CATALOGUE["qwen3-8b"]
    (stated,) = PreparedModel(known.source, tmp_path, None, None).sampling
    assert stated.values["temperature"] == 0.6
    assert stated.unthinking["temperature"] == 0.7


def test_of_other_models_the_catalogue_says_nothing(tmp_path):
    folder = tmp_path / "vendors"
    folder.mkdir()
    for source in (ArtifactSource(folder), HubSource("org/model"), CATALOGUE["phi-3-mini"].source):
        assert PreparedModel(source, folder, None, None).sampling == ()
