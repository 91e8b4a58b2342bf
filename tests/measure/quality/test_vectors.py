"""What a conversion lost of vectors and scores, found by `aipc convert --check`."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tiny_encoder import write_reader

from aipc.convert.quality import ReadingQuality, stated_reading
from aipc.convert.recipe import Recipe
from aipc.measure.quality.check import TextCheck
from aipc.measure.quality.vectors import some_texts
from aipc.models.store import Store
from aipc.session.check import BrokenArtifact
from aipc.session.convert import convert

CHECK = TextCheck()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def checked(folder, name, store, recipe, runtime="auto", check=CHECK, modules=("Pooling",)):
    where = folder / name
    if not where.exists():
        write_reader(where, name, modules=None if "score" in name else list(modules))
    return convert(
        str(where), recipe, runtime=runtime, check=check, store=store, notify=lambda _: None
    )


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_eight_bits_turn_vectors_a_little_and_sixteen_do_not(folder, store, runtime):
    exact = checked(folder, "bert", store, Recipe("fp16"), runtime)
    assert stated_reading(exact.facts).cosine > 0.9999
    coarse = checked(folder, "bert", store, Recipe("int8"), runtime)
    found = stated_reading(coarse.facts)
    assert 0.95 < found.cosine < 0.99999
    assert (found.difference, found.texts) == (None, len(some_texts()))


def test_scores_are_compared_as_scores_and_once(folder, store):
    made = checked(folder, "bert-score", store, Recipe("int8"))
    found = stated_reading(made.facts)
    assert found.cosine is None
    assert 0 < found.difference < 0.3
    again = checked(folder, "bert-score", store, Recipe("int8"), check=NoSuchCheck())
    assert (again.reused, stated_reading(again.facts)) == (True, found)


def test_an_artifact_that_was_made_without_a_check_is_checked_where_it_is(folder, store):
    made = checked(folder, "qwen3", store, Recipe("int8"), check=None)
    assert made.facts["quality"] is None
    again = checked(folder, "qwen3", store, Recipe("int8"))
    assert again.path == made.path
    assert stated_reading(again.facts).cosine > 0.9


@dataclass
class NoSuchCheck:
    found: ReadingQuality | None = None
    tokens: int = 1

    def __call__(self, *_):
        assert self.found is not None
        return self.found


@pytest.mark.parametrize("found", [(0.2, None), (float("nan"), None), (None, 0.9)])
def test_what_keeps_nothing_is_not_kept(folder, store, found):
    check = NoSuchCheck(ReadingQuality(*found, 32))
    with pytest.raises(BrokenArtifact, match=r"is broken: .*; try --weight-format"):
        checked(folder, "distilbert", store, Recipe("int8"), check=check)
    assert not list(store.home.glob("artifacts/distilbert*"))
