"""What is told of each recipe: figures that were measured, and what follows from them."""

from __future__ import annotations

import importlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from aipc.convert import quality
from aipc.convert.quality import (
    FIGURES,
    HARDLY_SHOWS,
    better_recipes,
    expected_quality,
    find_figure,
    greatest_loss,
    stated_quality,
)
from aipc.convert.recipe import Recipe
from aipc.convert.targets import ALL, TARGETS

ROOT = Path(__file__).parents[2]
SMALL, LARGE = 135 * 10**6, 38 * 10**8
CPU = TARGETS["cpu"]


def facts(kl, *, parameters=SMALL, measured=False):
    stated = {"kl": kl, "same_top": 0.5, "tokens": 512, "measured": measured}
    return {"quality": stated, "parameters": parameters}


def test_the_file_is_what_was_measured(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    made = importlib.import_module("quality_figures")
    rows = json.loads((ROOT / made.SOURCE).read_text("utf-8"))
    kept = Path(quality.__file__).with_name("quality.toml").read_text("utf-8")
    assert made.figures(rows) == kept, "run python benchmarks/quality_figures.py"
    by_name = {row["name"]: row for row in rows}
    assert find_figure(Recipe("int8")).kl == pytest.approx(by_name["aipc int8"]["kl"], rel=0.01)
    whole_rows = find_figure(Recipe("int4", -1, quantizer="gptq"))
    assert whole_rows.same_top == pytest.approx(by_name["aipc gptq row"]["same_top"], abs=0.001)


def test_each_figure_is_found_by_its_recipe():
    for figure in FIGURES:
        assert find_figure(figure.recipe) is figure
        assert expected_quality(figure.recipe).kl == figure.kl


def test_a_mixed_recipe_takes_the_next_one_with_fewer_eight_bits():
    ratios = [
        find_figure(Recipe("int4", 32, ratio=ratio, quantizer="gptq")).recipe.ratio
        for ratio in (0.5, 0.71, 0.8, 0.9)
    ]
    assert ratios == [0.71, 0.71, 0.87, 1.0]


def test_what_was_not_measured_is_not_known():
    assert expected_quality(Recipe("int8", sym=False, quantizer="rtn")) is None
    assert expected_quality(Recipe("int4", 128, all_layers=True)) is None
    assert expected_quality(Recipe("int4", 128, embedding="int4")) is None
    assert expected_quality(Recipe("int4", 128, sym=False, quantizer="gptq")) is None


def test_no_recipe_that_was_measured_is_near_to_broken():
    for figure in FIGURES:
        assert 2 * figure.kl < greatest_loss(figure.recipe)
    assert greatest_loss(Recipe("fp16")) == greatest_loss(Recipe("int8")) == HARDLY_SHOWS
    worst = Recipe("int4", -1, quantizer="rtn", all_layers=True)
    assert greatest_loss(worst) == quality.BROKEN


@pytest.mark.parametrize(
    ("recipe", "like"),
    [
        (Recipe("int8", sym=False, quantizer="rtn"), Recipe("int8", quantizer="rtn")),
        (Recipe("int4", 128, sym=False, quantizer="gptq"), Recipe("int4", 128, quantizer="gptq")),
        (Recipe("int4", 64, all_layers=True), Recipe("int4", 64)),
        (Recipe("int4", 128, embedding="int4"), Recipe("int4", 128)),
        (
            Recipe("int4", 128, ratio=0.5, sym=False, quantizer="awq"),
            Recipe("int4", 128, quantizer="awq"),
        ),
        (Recipe("int4", -1, sym=False, quantizer="gptq"), Recipe("int4", -1, quantizer="gptq")),
    ],
    ids=lambda recipe: recipe.tag,
)
def test_a_recipe_without_a_figure_is_broken_where_its_like_is(recipe, like):
    assert find_figure(recipe) is None
    assert greatest_loss(recipe) == max(HARDLY_SHOWS, 5 * find_figure(like).kl) < quality.BROKEN


@pytest.mark.parametrize(
    ("recipe", "default", "coarser"),
    [
        (Recipe("int4"), Recipe("int8"), True),
        (Recipe("int4", quantizer="gptq"), Recipe("int8"), True),
        (Recipe("int8", quantizer="rtn"), Recipe("int8"), False),
        (Recipe("int8"), Recipe("fp16"), False),
        (Recipe("int4", 128), Recipe("int4", 32), False),
        (Recipe("int4", -1), Recipe("int4", 128), True),
        (Recipe("int4", all_layers=True), Recipe("int4"), True),
    ],
)
def test_what_loses_well_more_than_the_default_or_nobody_knows_what_is_coarser(
    recipe, default, coarser
):
    assert quality.is_coarser(recipe, default) == coarser


@pytest.mark.parametrize("target", ALL, ids=lambda one: f"{one.runtime}-{one.name}")
def test_every_default_has_a_figure_to_be_compared_with(target):
    assert find_figure(target.recipe)
    assert find_figure(target.small)


def test_a_better_recipe_is_named_where_it_matters():
    recipe = Recipe("int4", 128, quantizer="rtn")
    told = better_recipes(recipe, CPU, facts(0.48))
    assert told == (
        "--quantizer gptq loses 0.3 of that, --weight-format int8 0.0078 at 1.9 times the size"
    )
    assert better_recipes(Recipe(), CPU, facts(0.298)) == (
        "--quantizer gptq loses 0.48 of that, --weight-format int8 0.013 at 1.9 times the size"
    )
    assert better_recipes(recipe, CPU, facts(0.19)) == ""
    assert better_recipes(recipe, CPU, {}) == ""


def test_figures_of_a_small_model_tell_nothing_of_a_large_one():
    recipe = Recipe("int4", 128, quantizer="rtn")
    assert better_recipes(recipe, CPU, facts(0.48, parameters=LARGE)) == ""
    assert better_recipes(recipe, CPU, {"quality": facts(0.48)["quality"]}) == ""
    assert "int8" in better_recipes(recipe, CPU, facts(0.48, parameters=LARGE, measured=True))


def test_a_recipe_without_figures_is_compared_by_what_was_measured():
    recipe = Recipe("int4", 64, sym=False, all_layers=True)
    told = better_recipes(recipe, CPU, facts(0.5, measured=True))
    assert told == "--weight-format int8 0.0075"


@pytest.mark.parametrize("target", ALL, ids=lambda one: f"{one.runtime}-{one.name}")
def test_what_is_named_can_be_run(target):
    for figure in FIGURES:
        if target.misfit(figure.recipe):
            continue
        words = better_recipes(figure.recipe, target, facts(1.0, measured=True)).split()
        for flag, value in itertools.pairwise(words):
            if flag == "--quantizer":
                assert target.misfit(replace(figure.recipe, quantizer=value)) == ""
            if flag == "--weight-format":
                assert target.misfit(Recipe(value)) == ""


def test_facts_that_are_damaged_state_nothing():
    assert stated_quality({}) is None
    assert stated_quality({"quality": None}) is None
    assert stated_quality({"quality": {"kl": "low"}}) is None
    assert stated_quality(facts(0.1)).kl == 0.1
