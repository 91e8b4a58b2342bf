from __future__ import annotations

import json
from pathlib import Path

import lora
import pytest
import tiny

from aipc.convert.quality import ConversionQuality
from aipc.convert.recipe import Recipe
from aipc.measure.quality.check import TextCheck
from aipc.session.convert import Converted

QUALITY = {"kl": 0.4814, "same_top": 0.625, "tokens": 512, "measured": True}
FACTS = {
    "lossy": {"quality": QUALITY},
    "expected": {"quality": QUALITY | {"kl": 6e-7, "measured": False}},
    "unknown": {"quality": None},
}
"""Manifests by the model's name."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the session was asked to convert."""
    seen: dict[str, object] = {}

    def convert(name: str, recipe: Recipe, **options: object) -> Converted:
        seen.update(name=name, recipe=recipe, **options)
        facts = FACTS.get(name, {"target": "openvino"})
        is_reused = name == "old"
        better = "--weight-format int8 0.01" if name == "lossy" else ""
        notes = ("a note",)
        return Converted(Path("made/here"), 2_000_000, 1.25, notes, is_reused, facts, better)

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


def test_without_flags_the_recipe_is_the_targets_for_a_model_of_its_size(aipc, asked) -> None:
    outcome = aipc("convert", "old")
    assert asked["recipe"] is None
    assert asked["output"] is None
    assert "made before: 2.0 MB" in outcome.stderr


@pytest.mark.parametrize(
    ("flags", "group"),
    [(("--runtime", "onnx"), 128), (("--for", "cuda"), 32), (("--for", "npu"), 128)],
)
def test_what_it_is_for_sets_the_flags_not_given(aipc, asked, flags, group) -> None:
    assert aipc("convert", "old", "--asym", *flags).status == 0
    assert asked["recipe"] == Recipe("int4", group, sym=False)


def test_what_a_graph_computes_in_is_asked_for(aipc, asked) -> None:
    assert aipc("convert", "old", "--for", "webgpu", "--activations", "fp32").status == 0
    assert (asked["target"], asked["activations"]) == ("webgpu", "fp32")
    assert aipc("convert", "old", "--for", "webgpu").status == 0
    assert asked["activations"] == ""


@pytest.mark.parametrize("target", ["cpu", "npu", "cuda", "directml"])
@pytest.mark.parametrize("weights", ["fp16", "int8"])
def test_another_format_than_the_targets_own_leaves_its_groups_behind(
    aipc, asked, target, weights
) -> None:
    assert aipc("convert", "old", "--for", target, "--weight-format", weights).status == 0
    assert asked["recipe"] == Recipe(weights)


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


def test_it_ends_with_what_was_lost_and_what_would_lose_less(aipc, asked) -> None:
    lines = aipc("convert", "lossy", "--check").stderr.splitlines()
    assert lines[-2:] == [
        "quality: 62% of next tokens stay the likeliest, KL 0.48 nats (measured on 512 tokens)",
        "better: --weight-format int8 0.01",
    ]
    assert asked["check"] == TextCheck()


def test_without_a_check_it_ends_with_what_the_recipe_lost_elsewhere(aipc, asked) -> None:
    lines = aipc("convert", "expected").stderr.splitlines()
    assert asked["check"] is None
    assert lines[-2].startswith(
        "quality to expect: 62% of next tokens stay the likeliest, KL <0.001"
    )
    assert "0.1 billion" in " ".join(map(str.strip, lines[-2:]))
    assert "--check" in lines[-1]
    assert max(map(len, lines)) <= 100


def test_a_recipe_that_nobody_measured_and_an_export(aipc, asked) -> None:
    assert "--check measures it" in aipc("convert", "unknown").stderr.splitlines()[-1]
    assert "quality" not in aipc("convert", "exported").stderr


def test_a_broken_artifact_is_one_line_and_exit_status_1(aipc, monkeypatch, tmp_path) -> None:
    config = tiny.CONFIGS["phi3"]
    folder = tiny.write_checkpoint(tmp_path / "phi3", config, tiny.random_tensors(config))
    found = ConversionQuality(9.0, 0.0, 512, measured=True)
    monkeypatch.setattr(TextCheck, "__call__", lambda *_: found)
    outcome = aipc("convert", str(folder), "--weight-format", "int4", "--check")
    assert (outcome.status, outcome.stdout) == (1, "")
    last = outcome.stderr.splitlines()[-1]
    assert last.startswith("aipc: the artifact is broken: its next tokens lie 9 nats from")
    assert last.endswith("try --weight-format int8, and report this recipe")
    assert "nothing in" in aipc("models").stderr


def test_an_artifact_is_not_made_inside_its_checkpoint(aipc, tmp_path) -> None:
    tiny.write_checkpoint(tmp_path / "model", tiny.LLAMA, tiny.random_tensors(tiny.LLAMA))
    outcome = aipc("convert", str(tmp_path / "model"), "-o", str(tmp_path / "model" / "made"))
    assert outcome.status != 0
    assert "lies in the checkpoint's own folder" in outcome.stderr
    assert not (tmp_path / "model" / "made").exists()


def test_adapters_become_a_part_of_the_models_name(aipc, asked) -> None:
    flags = ["--adapter", "./style:0.5", "--adapter", "org/domain"]
    assert aipc("convert", "phi-3-mini", *flags).status == 0
    assert asked["name"] == "phi-3-mini + ./style:0.5 + org/domain"
    assert aipc("convert", "-m", "phi-3-mini", *flags).status == 0
    assert asked["name"] == "phi-3-mini + ./style:0.5 + org/domain"


def test_an_adapter_is_merged_into_what_is_written(aipc, tmp_path) -> None:
    base, own = (
        lora.write_base(tmp_path / "base", "plain"),
        lora.write_case(tmp_path / "own", "plain"),
    )
    made = aipc("convert", str(base), "--adapter", f"{own}:2", "--weight-format", "fp16")
    assert made.status == 0, made.stderr
    assert "merged: own, times 2" in made.stderr
    assert "+own-" in made.stdout
    other = aipc("convert", str(lora.write_base(tmp_path / "phi", "fused")), "--adapter", str(own))
    assert other.status == 1
    (line,) = other.stderr.splitlines()
    assert line.startswith(f"aipc: '{own}' is an adapter that changes model.layers.0.")
