"""What was made only to be measured goes, also after a search that was killed."""

from __future__ import annotations

import pytest

from aipc.artifact import manifest
from aipc.measure.tune.passing import PassingArtifacts
from aipc.models.source import HubSource
from aipc.models.store import Store

SOURCE = HubSource("org/model")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def make(store, key):
    folder = store.artifact_path(key)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    manifest.write(folder, "artifact", key, {})


def test_they_go_and_the_choice_stays(store):
    passing = PassingArtifacts(SOURCE, store)
    for key in ("a", "b", "never-made"):
        passing.add(key)
    for key in ("a", "b", "asked-for"):
        make(store, key)
    passing.remove("b")
    assert store.names() == ["asked-for", "b"]


def test_those_of_a_killed_search_go_with_the_next(store):
    killed = PassingArtifacts(SOURCE, store)
    killed.add("a")
    make(store, "a")
    following = PassingArtifacts(SOURCE, store)
    assert "a" in following
    following.remove("")
    assert store.names() == []
    assert "a" not in PassingArtifacts(SOURCE, store)
