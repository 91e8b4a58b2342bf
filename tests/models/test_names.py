from __future__ import annotations

import re
from pathlib import Path

import pytest

from aipc.artifact import manifest
from aipc.errors import ArtifactError, ModelNotFound, UnsafeModel
from aipc.models.names import CATALOGUE, resolve, resolve_remote, suggestion
from aipc.models.source import (
    COMMIT,
    ArtifactSource,
    FolderSource,
    GgufSource,
    HubSource,
    WheelSource,
    describe,
)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def checkpoint(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_short_name():
    assert resolve("phi-3-mini") == CATALOGUE["phi-3-mini"].source


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=list(CATALOGUE))
def test_a_manifests_source_leads_to_its_entry_at_any_revision(model):
    facts = describe(model.source)
    versions = {"revision": "main", "version": "9", "sha256": "0" * 64, "files": {}}
    assert CATALOGUE.of_source({**facts, **versions}) is model


def test_a_source_that_is_in_no_entry():
    for source in (HubSource("org/model"), GgufSource(Path("model.gguf"))):
        assert CATALOGUE.of_source(describe(source)) is None
    assert CATALOGUE.of_source({}) is None


@pytest.mark.parametrize(
    ("name", "repo", "revision"),
    [
        ("microsoft/Phi-3-mini-4k-instruct", "microsoft/Phi-3-mini-4k-instruct", "main"),
        ("org/model@v1.0", "org/model", "v1.0"),
        ("org/model@refs/pr/3", "org/model", "refs/pr/3"),
        ("a/b", "a/b", "main"),
    ],
)
def test_a_hub_id(name, repo, revision):
    assert resolve(name) == HubSource(repo, revision)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpt2",
        "org/model/more",
        "org/..",
        "org/mo..del",
        "org/mo--del",
        "-org/model",
        "org/.hidden",
        "org/model.",
        "org/model@",
        "org/model@../../etc",
        "org/model@a//b",
        "org/model@a/.b",
        "org/model@a/",
        "org/model@a b",
        "org/modèle",
        "org/model\nx",
        "org\\model",
        "org/model?x=1",
        "o" * 97 + "/model",
    ],
)
def test_what_is_no_name(name):
    with pytest.raises(ModelNotFound) as caught:
        resolve(name)
    assert caught.value.fix


def test_an_address_is_no_name():
    with pytest.raises(ModelNotFound, match="give the hub id"):
        resolve("https://huggingface.co/microsoft/Phi-3-mini-4k-instruct")


def test_a_misspelt_short_name_gets_near_ones():
    with pytest.raises(ModelNotFound, match=r"did you mean 'phi-3-mini'"):
        resolve("phi-3-mni")


def test_a_short_name_wins_over_a_folder_of_that_name(tmp_path):
    checkpoint(tmp_path / "phi-3-mini")
    assert resolve("phi-3-mini") == CATALOGUE["phi-3-mini"].source
    assert resolve("./phi-3-mini") == FolderSource(tmp_path / "phi-3-mini")


def test_a_path_that_exists_wins_over_a_hub_id(tmp_path):
    folder = checkpoint(tmp_path / "org" / "model")
    assert resolve("org/model") == FolderSource(folder)


def test_a_remote_name_means_nothing_on_this_computer(tmp_path):
    checkpoint(tmp_path / "org" / "model")
    assert resolve_remote("org/model") == HubSource("org/model")
    assert resolve_remote("phi-3-mini") == CATALOGUE["phi-3-mini"].source
    for name in (
        "./org/model",
        str(tmp_path / "org"),
        "~",
        "",
        "model.gguf",
        "https://x.example/y",
    ):
        with pytest.raises(ModelNotFound):
            resolve_remote(name)


@pytest.mark.parametrize("name", ["./org/model", "../model", "~/none/here", "/none/here", "m.gguf"])
def test_a_path_that_is_meant_has_to_exist(name):
    with pytest.raises(ModelNotFound, match="on this computer"):
        resolve(name)


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = checkpoint(tmp_path / "model")
    assert resolve("~/model") == FolderSource(folder)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/model", "x" * 5000])
def test_a_path_that_can_not_even_be_looked_for(name):
    with pytest.raises(ModelNotFound):
        resolve(name)


def test_a_gguf_file(tmp_path):
    (tmp_path / "Model.GGUF").write_bytes(b"GGUF")
    assert resolve("Model.GGUF") == GgufSource(tmp_path / "Model.GGUF")


def test_a_folder_with_a_gguf_file(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.gguf").write_bytes(b"GGUF")
    assert resolve("./m") == FolderSource(tmp_path / "m")


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.ckpt", "model.pkl"])
def test_a_pickle_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UnsafeModel, match="pickle"):
        resolve(f"./{name}")


@pytest.mark.parametrize("name", ["model.safetensors", "notes.txt"])
def test_other_files_are_no_models(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ModelNotFound, match="is no model file"):
        resolve(f"./{name}")


def test_an_empty_folder_holds_no_model(tmp_path):
    with pytest.raises(ModelNotFound, match="holds no model"):
        resolve(".")


@pytest.mark.parametrize("mark", ["openvino_model.xml", "genai_config.json"])
def test_an_artifact_of_a_vendor(tmp_path, mark):
    folder = checkpoint(tmp_path / "vendor")
    (folder / mark).write_text("")
    assert resolve("./vendor") == ArtifactSource(folder)


def test_a_folder_of_ours_is_what_its_manifest_says(tmp_path):
    for kind in ("checkpoint", "artifact"):
        manifest.write(checkpoint(tmp_path / kind), kind, "m", {})
    assert resolve("./checkpoint") == FolderSource(tmp_path / "checkpoint")
    assert resolve("./artifact") == ArtifactSource(tmp_path / "artifact")


def test_an_artifact_of_ours_that_lost_a_file(tmp_path):
    folder = checkpoint(tmp_path / "artifact")
    (folder / "openvino_model.xml").write_text("<net/>")
    manifest.write(folder, "artifact", "m", {})
    (folder / "openvino_model.xml").unlink()
    with pytest.raises(ArtifactError, match=r"lacks some of its files; convert"):
        resolve("./artifact")


def test_an_artifact_of_ours_with_a_damaged_manifest(tmp_path):
    folder = checkpoint(tmp_path / "artifact")
    (folder / "openvino_model.xml").write_text("<net/>")
    (folder / "aipc.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"no usable aipc.json"):
        resolve("./artifact")


NAMES = (
    "phi-3-mini",
    "phi-3-mini-128k",
    "phi-3.5-mini",
    "phi-4-mini",
    "phi-3-medium",
    "phi-3-medium-128k",
    "smollm2-135m",
    "smollm2-1.7b",
    "tinyllama",
    "llama-3.2-1b",
)


def test_the_promised_names_are_there():
    assert set(NAMES) <= set(CATALOGUE)


def test_the_default_comes_from_the_package_index():
    source = CATALOGUE.default.source
    assert isinstance(source, WheelSource)
    assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
    assert CATALOGUE.default.nbytes == source.nbytes


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_source_is_pinned(name):
    source = CATALOGUE[name].source
    if isinstance(source, HubSource):
        assert COMMIT.fullmatch(source.revision)
        assert resolve(f"{source.repo}@{source.revision}") == source


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_model_says_what_it_is(name):
    model = CATALOGUE[name]
    assert model.what
    assert model.licence
    assert model.nbytes > 10_000_000
    assert model.context >= 2048


def test_no_two_names_lead_to_one_source():
    assert len({model.source.name for model in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("phi3-mini", "phi-3-mini"),
        ("Phi-4-mini-instruct", "phi-4-mini"),
        ("smolm2", "smollm2-135m"),
    ],
)
def test_near_names(typed, meant):
    assert meant in CATALOGUE.near(typed)
    assert f"'{meant}'" in suggestion(typed)


def test_far_names_get_the_whole_list():
    assert suggestion("zzzzzz") == f"short names: {', '.join(CATALOGUE)}"
