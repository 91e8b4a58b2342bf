"""A model from a mirror answers where nothing can be fetched."""

from __future__ import annotations

import shutil

import pytest
import tiny
from mirror_server import serving

import aipc
from aipc.artifact import manifest
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.devices import Device
from aipc.errors import DownloadFailed, ModelNotFound, UsageError
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import HubSource, describe
from aipc.models.store import Store
from aipc.session import prepare, pull
from aipc.session.convert import artifact_key
from aipc.session.convert import prepare as make
from aipc.session.place import SessionOptions
from aipc.session.prepare import prepare_session

NAME, SOURCE = "org/tiny", HubSource("org/tiny")
CPU = Device("CPU", "cpu", "A CPU", precisions=("fp32",), runtimes=("openvino", "onnx"))
ASYMMETRIC = Recipe("int8", sym=False)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A store with a small checkpoint in it, as if it were the hub's."""
    store = Store(tmp_path_factory.mktemp("theirs"))
    config = tiny.CONFIGS["phi3"]
    folder = store.path("checkpoint", SOURCE.name)
    tiny.write_checkpoint(folder, config, tiny.random_tensors(config))
    manifest.write(folder, "checkpoint", SOURCE.name, {"source": describe(SOURCE)})
    return store


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """An empty store of a machine off the network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(prepare, "_devices", lambda *_: (CPU,))
    monkeypatch.setattr(pull, "remembered_devices", lambda _: (CPU,))
    return Store(tmp_path / "ours")


@pytest.fixture
def mirror(theirs, tmp_path):
    """A folder of artifacts of some recipes, by (runtime, recipe); None: the target's own."""

    def made(*recipes):
        folder = tmp_path / "mirror"
        folder.mkdir()
        for runtime, recipe in recipes:
            done = make(SOURCE, recipe, theirs, target=find_target("cpu", runtime), notify=str)
            shutil.copytree(done.path, folder / done.path.name)
        return folder

    return made


def prepared(store, recipe=None, **wanted):
    told = []
    options = {"recipe": recipe, "store": store, "notify": told.append}
    return prepare_session(NAME, SessionOptions(**wanted), **options), told


def test_its_own_recipe_is_asked_for_and_run(mirror, ours):
    folder = mirror(("openvino", None), ("onnx", None))
    path = pull.pull_from(str(folder), NAME, store=ours)
    own = find_target("cpu").small
    assert path == ours.artifact_path(artifact_key(SOURCE, own, find_target("cpu")))
    session, told = prepared(ours)
    assert session.folder == path
    assert told == []
    assert not ours.path("checkpoint", SOURCE.name).exists()


@pytest.mark.parametrize(
    ("runtime", "recipe", "flags"),
    [
        ("onnx", None, {}),
        ("onnx", None, {"runtime": "onnx"}),
        ("openvino", ASYMMETRIC, {"recipe": ASYMMETRIC}),
        ("openvino", ASYMMETRIC, {"recipe": ASYMMETRIC, "target": "cpu"}),
    ],
)
def test_whatever_was_pulled_is_run_and_that_is_said(mirror, ours, runtime, recipe, flags):
    path = pull.pull_from(str(mirror((runtime, recipe))), NAME, store=ours, **flags)
    session, told = prepared(ours)
    assert session.folder == path
    assert told == []
    assert session.facts["runtime"] == runtime
    assert any("the checkpoint is not here" in why for why in session.facts["why"])


def test_a_users_flags_are_not_answered_by_another_artifact(mirror, ours):
    pull.pull_from(str(mirror(("openvino", None))), NAME, store=ours)
    for wanted in ({"runtime": "onnx"}, {"recipe": ASYMMETRIC}):
        with pytest.raises(DownloadFailed, match="HF_HUB_OFFLINE"):
            prepared(ours, **wanted)


def test_the_first_of_this_machines_places_that_is_here_is_taken(mirror, ours):
    folder = mirror(("openvino", ASYMMETRIC), ("openvino", None), ("onnx", None))
    pull.pull_from(str(folder), NAME, store=ours, runtime="onnx")
    pull.pull_from(str(folder), NAME, ASYMMETRIC, store=ours)
    session, _ = prepared(ours)
    assert session.facts["runtime"] == "openvino"
    own = pull.pull_from(str(folder), NAME, store=ours)
    session, _ = prepared(ours)
    assert session.folder == own


def test_one_models_folder_may_be_of_any_recipe(mirror, ours):
    (folder,) = mirror(("openvino", ASYMMETRIC)).iterdir()
    path = pull.pull_from(str(folder), NAME, store=ours)
    session, _ = prepared(ours)
    assert session.folder == path


def test_a_folders_own_name_leads_to_it(mirror, ours):
    folder = mirror(("openvino", ASYMMETRIC))
    (key,) = [path.name for path in folder.iterdir()]
    assert pull.pull_from(str(folder), key, store=ours) == ours.artifact_path(key)


def test_a_misspelt_name_is_told(mirror, ours):
    with pytest.raises(ModelNotFound, match=r"has none of: phi-3-mni; did you mean 'phi-3-mini'"):
        pull.pull_from(str(mirror()), "phi-3-mni", store=ours)


def test_without_an_artifact_the_checkpoint_is_copied_and_that_is_said(theirs, ours):
    told = []
    home = str(theirs.home / "checkpoints")
    path = pull.pull_from(home, NAME, store=ours, notify=told.append)
    assert path == ours.path("checkpoint", SOURCE.name)
    assert "checkpoint alone" in told[0]
    with pytest.raises(ModelNotFound, match="has none of: org--tiny--main-openvino-npu"):
        pull.pull_from(home, NAME, store=ours, target="npu")


def test_a_recipe_that_the_device_can_not_run_is_refused(mirror, ours, tmp_path):
    with pytest.raises(UsageError, match="the npu can't run this recipe"):
        pull.pull_from(str(tmp_path), NAME, Recipe(group_size=32), store=ours, target="npu")
    with pytest.raises(UsageError, match="runtime"):
        pull.pull_from(str(tmp_path), NAME, store=ours, runtime="torch")


def test_the_small_model_answers_from_a_web_server(small_store, tmp_path, monkeypatch):
    made = make(CATALOGUE.default.source, None, small_store, notify=str)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    ours, name = Store(tmp_path / "ours"), CATALOGUE.default.name
    with serving(small_store.home) as server:
        path = pull.pull_from(server.url, name, store=ours, runtime="openvino")
    assert path.name == made.path.name
    with aipc.load(name, store=ours, notify=pytest.fail) as session:
        reply = session.generate("Name the capital of France.", max_new_tokens=16)
    assert "Paris" in reply.text
    assert not (ours.home / "checkpoints").exists()
