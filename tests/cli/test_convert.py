from __future__ import annotations

import json
from pathlib import Path

import pytest

from aipc.convert.recipe import Recipe
from aipc.session.convert import Converted


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the session was asked to convert."""
    seen: dict[str, object] = {}

    def convert(name: str, recipe: Recipe, **options: object) -> Converted:
        seen.update(name=name, recipe=recipe, **options)
        facts = {"target": "openvino"}
        is_reused = name == "old"
        return Converted(Path("made/here"), 2_000_000, 1.25, ("a note",), is_reused, facts)

    monkeypatch.setattr("aipc.session.convert.convert", convert)
    return seen


def test_the_seeds_own_flags(aipc, asked) -> None:
    flags = ["--weight-format", "int4", "--group-size", "128", "--ratio", "0.6", "--sym"]
    outcome = aipc("convert", "phi-3-mini", *flags, "-o", "there")
    assert outcome.status == 0
    assert outcome.stdout.strip() == str(Path("made/here"))
    assert outcome.stderr.splitlines() == ["a note", "made in 1.2 s: 2.0 MB"]
    assert asked["name"] == "phi-3-mini"
    assert asked["recipe"] == Recipe("int4", 128, 0.6, sym=True)
    assert asked["output"] == Path("there")
    assert (asked["runtime"], asked["target"]) == ("auto", "cpu")


def test_no_flags_are_the_recipes_defaults(aipc, asked) -> None:
    outcome = aipc("convert", "old")
    assert asked["recipe"] == Recipe()
    assert asked["output"] is None
    assert "made before: 2.0 MB" in outcome.stderr


@pytest.mark.parametrize(
    ("flags", "group"),
    [(("--runtime", "onnx"), 128), (("--for", "cuda"), 32), (("--for", "npu"), 128)],
)
def test_what_it_is_for_sets_the_flags_not_given(aipc, asked, flags, group) -> None:
    assert aipc("convert", "old", *flags).status == 0
    assert asked["recipe"] == Recipe("int4", group)


def test_a_device_that_the_runtime_does_not_have(aipc, asked) -> None:
    outcome = aipc("convert", "old", "--for", "npu", "--runtime", "onnx")
    assert outcome.status == 2
    assert "--runtime openvino" in outcome.stderr
    assert asked == {}


def test_json(aipc, asked) -> None:
    told = json.loads(aipc("convert", "old", "--json").stdout)
    assert told["path"] == str(Path("made/here"))
    assert (told["nbytes"], told["reused"]) == (2_000_000, True)
    assert told["facts"] == {"target": "openvino"}


@pytest.mark.parametrize(
    "flags", [("--ratio", "1.5"), ("--weight-format", "int2"), ("--group-size", "100")]
)
def test_a_recipe_that_can_not_be(aipc, asked, flags: tuple[str, str]) -> None:
    outcome = aipc("convert", "phi-3-mini", *flags)
    assert outcome.status == 2
    assert outcome.stderr.count("\n") == 1
    assert asked == {}
