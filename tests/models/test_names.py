from __future__ import annotations

import re
from pathlib import Path

import pytest

from aipc.artifact import manifest
from aipc.errors import ArtifactError, ModelNotFound, UnsafeModel, UsageError
from aipc.models.catalogue import CATALOGUE, KINDS, model_name
from aipc.models.names import (
    resolve,
    resolve_adapter,
    resolve_remote,
    suggestion,
    with_adapters,
)
from aipc.models.source import (
    COMMIT,
    AdaptedSource,
    ArtifactSource,
    FolderSource,
    GgufSource,
    HubAdapterSource,
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


@pytest.mark.parametrize(
    "name",
    [
        *("./org/model", "../model", "~/none/here", "/none/here", "m.gguf"),
        *("C:\\models\\phi3", "c:/models/phi3", "D:phi3"),
        *("\\\\host\\share\\phi3", ".\\phi3"),
    ],
)
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
    assert model.context >= (2048 if model.kind == KINDS[0] else 256)


def test_no_two_names_lead_to_one_source():
    assert len({model.source.name for model in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("phi3-mini", "phi-3-mini"),
        ("Phi-4-mini-instruct", "phi-4-mini"),
        ("smolm2", "smollm2-1.7b"),
        ("qwen3:32b", "qwen3-8b"),
    ],
)
def test_near_names(typed, meant):
    assert meant in CATALOGUE.near(typed)
    assert f"'{meant}'" in suggestion(typed)


@pytest.mark.parametrize(
    ("name", "strength"), [("own", 1.0), ("own:0.5", 0.5), ("./own:-1", -1.0), ("~/own:2", 2.0)]
)
def test_an_adapters_folder(name, strength, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "own").mkdir()
    adapter = resolve_adapter(name)
    assert (adapter.source, adapter.strength) == (FolderSource(tmp_path / "own"), strength)
    assert adapter.label == "own"


def test_an_adapter_in_a_gguf_file(tmp_path):
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    adapter = resolve_adapter(f"{tmp_path / 'own.gguf'}:0.5")
    assert (adapter.source, adapter.strength) == (GgufSource(tmp_path / "own.gguf"), 0.5)
    assert adapter.label == "own.gguf"


def test_an_adapters_folder_with_a_colon_and_a_number(tmp_path):
    (tmp_path / "own:2").mkdir()
    adapter = resolve_adapter("./own:2")
    assert (adapter.source, adapter.strength) == (FolderSource(tmp_path / "own:2"), 1.0)


def test_an_adapter_of_the_hub():
    adapter = resolve_adapter("org/own@v1:0.25")
    assert (adapter.source, adapter.strength) == (HubAdapterSource("org/own", "v1"), 0.25)


@pytest.mark.parametrize("name", ["./none", "./none:0.5", "none", "org/none:x", "", "a/b/c"])
def test_no_adapter(name):
    with pytest.raises(ModelNotFound):
        resolve_adapter(name)


@pytest.mark.parametrize("scale", ["nan", "inf", "101", "-1e9"])
def test_a_scale_that_is_none(scale):
    with pytest.raises(UsageError, match="an adapter's scale can't be"):
        resolve_adapter(f"org/own:{scale}")


def test_a_model_with_adapters_has_one_name_from_end_to_end(tmp_path):
    checkpoint(tmp_path / "base")
    (tmp_path / "own").mkdir()
    source = resolve(with_adapters("./base", ["own", "org/other:0.5"]))
    assert isinstance(source, AdaptedSource)
    assert source.base == FolderSource(tmp_path / "base")
    assert [one.label for one in source.adapters] == ["own", "other"]
    assert resolve(model_name(source)) == source
    assert source.name.startswith(f"{source.base.name}+own+other-")


def test_a_folder_with_a_plus_in_its_name(tmp_path):
    checkpoint(tmp_path / "this + that")
    assert resolve("./this + that") == FolderSource(tmp_path / "this + that")


def test_what_has_no_near_name_is_told_how_to_name_any_model():
    assert suggestion("zzzzzz").startswith("`aipc models --available`")
    for name in ("zzzzzz", "smolm2"):
        assert suggestion(name).endswith("org/name, such as Qwen/Qwen3-8B")


def test_the_example_is_a_model_of_the_catalogue():
    example = HubSource("Qwen/Qwen3-8B")
    assert CATALOGUE.of_source(describe(example)) is CATALOGUE["qwen3-8b"]


@pytest.mark.parametrize("typed", ["qwen3:8b", "Qwen3", "QWEN3-8B", " qwen3-8b "])
def test_a_model_goes_by_what_others_call_it_in_any_case(typed):
    assert resolve(typed) == CATALOGUE["qwen3-8b"].source


def test_the_last_part_of_a_hub_id_is_a_name():
    assert resolve("phi-3-Mini-4k-instruct") == CATALOGUE["phi-3-mini"].source


def test_a_hub_id_may_be_in_any_case():
    assert resolve("qwen/QWEN3-8b") == HubSource("Qwen/Qwen3-8B")
    assert resolve(f"qwen/qwen3-8b@{'a' * 40}") == HubSource("Qwen/Qwen3-8B", "a" * 40)
    assert resolve("Org/Unknown") == HubSource("Org/Unknown")


def test_a_folder_goes_before_what_others_call_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qwen3").mkdir()
    (tmp_path / "qwen3" / "config.json").write_text("{}")
    assert resolve("qwen3") == FolderSource(tmp_path / "qwen3")
