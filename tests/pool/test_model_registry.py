from __future__ import annotations

import json

import pytest

from aipc.artifact import manifest
from aipc.errors import ModelNotFound, UsageError
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import HubSource, describe
from aipc.models.store import Store
from aipc.pool import model_registry as module
from aipc.pool.model_registry import ModelRegistry

PHI = CATALOGUE["phi-3-mini"]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def put(folder, kind, nbytes, facts=None):
    """A whole checkpoint or artifact of that many bytes."""
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"0" * nbytes)
    manifest.write(folder, kind, folder.name, facts or {})


def put_checkpoint(store, model, nbytes=100):
    facts = {"source": describe(model.source)}
    put(store.home / "checkpoints" / model.source.name, "checkpoint", nbytes, facts)


def put_artifact(store, key, nbytes):
    put(store.artifact_path(key), "artifact", nbytes)


def test_an_empty_store_offers_nothing(store):
    assert ModelRegistry([], store).cards() == {}


def test_a_fetched_model_is_offered_by_its_short_name(store):
    put_checkpoint(store, PHI, 100)
    (card,) = ModelRegistry([], store).cards().values()
    assert (card.name, card.load_name) == ("phi-3-mini", "phi-3-mini")
    assert (card.what, card.context, card.nbytes) == (PHI.what, 4096, 30)


def test_its_artifact_tells_better_what_it_takes(store):
    put_checkpoint(store, PHI, 100)
    put_artifact(store, f"{PHI.source.name}-openvino-int4-g128-sym-2", 30)
    put_artifact(store, f"{PHI.source.name}-openvino-int8-sym-2", 50)
    cards = ModelRegistry([], store).cards()
    assert cards["phi-3-mini"].nbytes == 50
    assert [name for name, card in cards.items() if not card.is_variant] == ["phi-3-mini"]
    assert cards["phi-3-mini-openvino-int4-g128-sym-2"].nbytes == 30


def test_an_artifact_whose_model_is_gone_is_offered_itself(store):
    put_artifact(store, f"{PHI.source.name}-openvino-int4-g128-sym-2", 30)
    (card,) = ModelRegistry([], store).cards().values()
    assert not card.is_variant
    (_, variant) = ModelRegistry(["phi-3-mini"], store).cards().values()
    assert (variant.name, variant.is_variant) == (card.name, True)


def test_a_folder_that_makes_embeddings_is_offered_as_such(store, tmp_path):
    for name, output in (("e5", "last_hidden_state"), ("llama", "logits")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "openvino_model.xml").write_text(f'<port names="{output}"/>')
    cards = ModelRegistry([str(tmp_path / "e5"), str(tmp_path / "llama")], store).cards()
    assert [card.task for card in cards.values()] == ["embeddings", None]


def test_what_is_named_is_offered_though_it_is_not_fetched_yet(store):
    names = ["phi-3-mini", "org/name"]
    cards = ModelRegistry(names, store).cards()
    assert list(cards) == names
    assert cards["phi-3-mini"].nbytes == int(0.3 * PHI.nbytes)  # bf16, which becomes int4
    assert cards["org/name"].nbytes == 0
    assert not any(card.is_here for card in cards.values())


def test_a_checkpoint_that_scores_texts_is_offered_as_such(store, tmp_path):
    folder = tmp_path / "ranker"
    folder.mkdir()
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(config))
    (card,) = ModelRegistry([str(folder)], store).cards().values()
    assert (card.task, card.is_here) == ("scores", True)


def test_with_only_named_the_store_offers_nothing_more(store):
    put_checkpoint(store, PHI)
    assert [*ModelRegistry(["phi-4-mini"], store, only_named=True).cards()] == ["phi-4-mini"]


def test_a_path_is_offered_without_the_way_to_it(store, tmp_path):
    file = tmp_path / "secret" / "model.gguf"
    file.parent.mkdir()
    file.write_bytes(b"GGUF")
    (card,) = ModelRegistry([str(file)], store).cards().values()
    assert (card.name, card.load_name, card.nbytes) == ("model", str(file), 4)


def test_what_is_named_comes_first_and_once(store):
    put_checkpoint(store, CATALOGUE.default)
    put_checkpoint(store, PHI)
    cards = ModelRegistry(["phi-3-mini"], store).cards()
    assert list(cards) == ["phi-3-mini", CATALOGUE.default.name]


def test_a_checkpoint_of_the_hub_is_offered_by_its_id(store):
    commit = "0123456789abcdef0123456789abcdef01234567"
    for source in (HubSource("org/name"), HubSource("org/name", commit)):
        facts = {"source": describe(source)}
        put(store.home / "checkpoints" / source.name, "checkpoint", 100, facts)
        put_artifact(store, f"{source.name}-openvino-int4", 30)
    cards = ModelRegistry([], store).cards()
    offered = {name: card for name, card in cards.items() if not card.is_variant}
    assert {*offered} == {"org/name", f"org/name@{commit}"}
    assert all(name == card.load_name for name, card in offered.items())
    assert {card.nbytes for card in offered.values()} == {30}
    assert not offered["org/name"].is_named
    assert ModelRegistry(["org/name"], store).cards()["org/name"].is_named


def test_two_models_can_not_have_one_name(store, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "model").mkdir(parents=True)
        (tmp_path / folder / "model" / "config.json").write_text(json.dumps({}))
    named = [str(tmp_path / folder / "model") for folder in ("a", "b")]
    with pytest.raises(UsageError, match="two models would be called 'model'"):
        ModelRegistry(named, store)


def test_a_name_that_leads_nowhere_is_refused_at_the_start(store):
    with pytest.raises(ModelNotFound):
        ModelRegistry(["./nothing"], store)


def test_what_is_pulled_later_is_offered_soon(store, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    registry = ModelRegistry([], store)
    assert registry.cards() == {}
    put_checkpoint(store, PHI)
    assert registry.cards() == {}
    now[0] += 5.0
    assert list(registry.cards()) == ["phi-3-mini"]
    put_checkpoint(store, CATALOGUE.default)
    registry.read_again()
    assert len(registry.cards()) == 2


def test_an_alias_is_another_name_and_a_model_s_own_name_comes_first(store):
    put_checkpoint(store, PHI)
    put_artifact(store, "claude-like", 5)
    aliases = ["claude-*=phi-3-mini", "gpt-?=claude-like", "*-5=claude-like"]
    registry = ModelRegistry([], store, aliases)
    found = {
        name: card.name if card else None
        for name in ("claude-opus-5", "claude-like", "gpt-5", "gpt-55", "other")
        for card in [registry.find(name)]
    }
    assert found == {
        "claude-opus-5": "phi-3-mini",
        "claude-like": "claude-like",
        "gpt-5": "claude-like",
        "gpt-55": None,
        "other": None,
    }


@pytest.mark.parametrize("alias", ["claude", "=phi-3-mini", "claude=", "claude=none"])
def test_an_alias_that_leads_nowhere_is_refused(store, alias):
    put_checkpoint(store, PHI)
    with pytest.raises(UsageError, match="write NAME=MODEL, with one of: phi-3-mini"):
        ModelRegistry([], store, [alias])


@pytest.mark.parametrize("name", ["Phi-3-Mini", "PHI-3-MINI", "phi3", "Phi3:mini"])
def test_a_name_in_another_case_or_of_another_program_means_the_same_model(store, name):
    put_checkpoint(store, PHI)
    found = ModelRegistry([], store).find(name)
    assert found is not None
    assert found.name == "phi-3-mini"


def test_the_exact_name_goes_before_another_case_of_it(store, tmp_path):
    folders = [tmp_path / "Model", tmp_path / "other" / "model"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    registry = ModelRegistry(list(map(str, folders)), store)
    found = {name: registry.find(name) for name in ("Model", "model", "MODEL")}
    assert [card and card.name for card in found.values()] == ["Model", "model", "Model"]


def test_an_alias_goes_before_another_case_of_a_name(store, tmp_path):
    put_checkpoint(store, PHI)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "config.json").write_text("{}")
    registry = ModelRegistry([str(tmp_path / "small")], store, ["Phi-*=small"])
    assert registry.find("Phi-3-mini").name == "small"
    assert registry.find("phi-3-mini").name == "phi-3-mini"


def test_what_is_not_offered_is_not_found_by_what_others_call_it(store):
    put_checkpoint(store, PHI)
    assert ModelRegistry([], store).find("qwen3:8b") is None


def test_adapters_are_models_too_of_the_first_one(store, tmp_path):
    for name in ("base", "other", "own"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    named = [str(tmp_path / "base"), str(tmp_path / "other")]
    registry = ModelRegistry(named, store, adapters={"poet": f"{tmp_path / 'own'}:0.5"})
    assert [*registry.cards()] == ["base", "other", "base:poet"]
    card = registry.find("base:poet")
    assert (card.base, card.adapter, card.loaded_name) == ("base", "poet", "base")
    assert card.what == "base with the adapter poet"
    assert registry.find("base").adapters == {"poet": f"{tmp_path / 'own'}:0.5"}
    assert registry.find("base").loaded_name == "base"
    assert registry.find("base:other") is None
    assert registry.find("other:poet") is None


@pytest.mark.parametrize("name", ["", "a b", "latest", "a:b", "../a"])
def test_an_adapter_with_a_name_that_none_can_have(name, store, tmp_path):
    with pytest.raises(UsageError, match="an adapter can't be called"):
        ModelRegistry([], store, adapters={name: str(tmp_path)})


def test_an_adapter_that_is_not_there(store):
    with pytest.raises(ModelNotFound, match="no adapter is called 'nowhere'"):
        ModelRegistry([], store, adapters={"poet": "nowhere"})
