from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from aipc.artifact import manifest
from aipc.errors import ModelNotFound
from aipc.models.catalogue import CATALOGUE, Model, meant_key, model_name, shown_key
from aipc.models.names import resolve, stored_keys
from aipc.models.source import ArtifactSource, GgufSource, HubSource, describe
from aipc.models.store import Store

PHI = CATALOGUE["phi-3-mini"].source
LONGER = CATALOGUE["phi-3-mini-128k"].source


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_short_name_comes_back_from_its_source_and_from_its_key(name: str) -> None:
    source = resolve(name)
    assert model_name(source) == name
    assert shown_key(source.name) == name
    assert meant_key(name) == source.name
    assert shown_key(meant_key(f"{name}-onnx-cpu-int8-sym-5")) == f"{name}-onnx-cpu-int8-sym-5"


def test_other_models_are_called_as_they_are_given() -> None:
    assert model_name(HubSource("org/model")) == "org/model"
    assert model_name(HubSource("org/model", "a" * 40)) == f"org/model@{'a' * 40}"
    assert model_name(GgufSource(Path("/m/x.gguf"))) == str(Path("/m/x.gguf"))
    assert shown_key("org--model--main-openvino-int4") == "org--model--main-openvino-int4"
    assert meant_key("org--Model--main") == "org--Model--main"


def test_the_longest_name_counts() -> None:
    assert meant_key("phi-3-mini-128k-openvino-fp16-5") == f"{LONGER.name}-openvino-fp16-5"
    assert shown_key(f"{LONGER.name}-openvino-fp16-5") == "phi-3-mini-128k-openvino-fp16-5"


@pytest.mark.parametrize("name", ["Phi-3-Mini", "PHI-3-MINI", " phi-3-mini "])
def test_case_is_ignored(name: str) -> None:
    assert resolve(name) == PHI


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("phi-3-mini", "phi-3-mini"),
        ("Phi3-Mini", "phi-3-mini"),
        ("microsoft/Phi-3-mini-4k-instruct", "phi-3-mini"),
        ("phi3", "phi-3-mini"),
        ("llama3.2:1b", "llama-3.2-1b"),
        ("llama3.2", "llama-3.2-3b"),
        ("tinyllama", "tinyllama"),
        ("smollm2", "smollm2-1.7b"),
        ("hello", None),
        ("Phi", None),
        ("and/or", None),
        ("2024", None),
        ("", None),
    ],
)
def test_what_is_meant_by_a_word(word: str, name: str | None) -> None:
    assert CATALOGUE.meant(word) == name


def test_no_two_models_go_by_one_name() -> None:
    called = [(word, model.name) for model in CATALOGUE.values() for word in _words(model)]
    owners = dict(called)
    assert [pair for pair in called if owners[pair[0]] != pair[1]] == []
    assert all(word == word.lower().strip() for word, _ in called)


def _words(model: Model) -> set[str]:
    repo = model.source.repo if isinstance(model.source, HubSource) else ""
    return {model.name, *model.aliases, *filter(None, [repo.partition("/")[2].lower()])}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_commit_is_told_to_be_unchecked_where_fewer_than_two_others_pin_it(name: str) -> None:
    model = CATALOGUE[name]
    if isinstance(model.source, HubSource):
        assert model.is_checked == (model.pinned_by >= 2)
    else:
        assert model.is_checked
        assert model.pinned_by == 0


def test_what_is_not_said_to_be_pinned_is_unchecked() -> None:
    assert not replace(CATALOGUE["phi-3-mini"], pinned_by=1).is_checked
    plain = {field.name: field.default for field in fields(Model)}
    assert plain["pinned_by"] == 0


def test_what_is_recommended_needs_no_account_and_a_free_licence() -> None:
    recommended = [model for model in CATALOGUE.values() if model.recommended]
    assert recommended
    assert {model.licence for model in recommended} <= {"MIT", "Apache-2.0"}
    assert not any(model.gated for model in recommended)
    assert all(model.is_checked for model in recommended)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One that holds phi-3-mini, two artifacts of it and one of phi-3-mini-128k."""
    store = Store(tmp_path)
    made = f"{PHI.name}-openvino-int8-sym-5", f"{PHI.name}-onnx-int8-sym-5"
    for kind, key in (
        ("checkpoint", PHI.name),
        ("artifact", made[0]),
        ("artifact", made[1]),
        ("artifact", f"{LONGER.name}-openvino-int8-sym-5"),
    ):
        folder = store.path(kind, key)
        folder.mkdir(parents=True)
        (folder / "openvino_model.xml").write_text("<net/>")
        manifest.write(folder, kind, key, {"source": describe(PHI)})
    return store


def test_a_model_s_name_means_all_that_was_made_of_it(store: Store) -> None:
    made = [f"{PHI.name}-onnx-int8-sym-5", f"{PHI.name}-openvino-int8-sym-5"]
    assert stored_keys("phi-3-mini", store) == [PHI.name, *made]
    assert stored_keys("Phi-3-mini", store) == [PHI.name, *made]
    assert stored_keys("phi-3-mini-128k", store) == [f"{LONGER.name}-openvino-int8-sym-5"]


def test_what_was_made_of_it_with_an_adapter_is_of_it_too(store: Store) -> None:
    key = f"{PHI.name}+poet-0123456789-openvino-int8-sym-5"
    folder = store.path("artifact", key)
    folder.mkdir(parents=True)
    (folder / "openvino_model.xml").write_text("<net/>")
    manifest.write(folder, "artifact", key, {"source": describe(PHI)})
    assert key in stored_keys("phi-3-mini", store)
    assert shown_key(key) == "phi-3-mini+poet-0123456789-openvino-int8-sym-5"
    assert stored_keys(shown_key(key), store) == [key]


def test_the_name_of_one_means_that_one(store: Store) -> None:
    assert stored_keys(PHI.name, store) == [PHI.name]
    assert stored_keys("phi-3-mini-onnx-int8-sym-5", store) == [f"{PHI.name}-onnx-int8-sym-5"]
    for entry in store.entries():
        assert entry.name in stored_keys(entry.shown, store)


def test_a_near_name_is_suggested(store: Store) -> None:
    with pytest.raises(ModelNotFound, match="did you mean 'phi-3-mini'"):
        stored_keys("phi-3-mimi", store)
    with pytest.raises(ModelNotFound, match="it is empty"):
        stored_keys("phi-3-mini", Store(store.home / "other"))


def test_what_the_store_lists_can_be_run(store: Store) -> None:
    found = resolve("phi-3-mini-onnx-int8-sym-5", store)
    assert isinstance(found, ArtifactSource)
    assert found.path == store.artifact_path(f"{PHI.name}-onnx-int8-sym-5")
    assert model_name(found) == "phi-3-mini-onnx-int8-sym-5"
    assert describe(found) == {"kind": "artifact", "path": str(found.path)}
    with pytest.raises(ModelNotFound):
        resolve("phi-3-mini-onnx-int4-sym-5", store)
