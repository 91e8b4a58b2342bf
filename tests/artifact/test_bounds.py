from __future__ import annotations

import math

import pytest

from aipc.artifact.bounds import RANGES, Range, find_misstated

NAMES = sorted(RANGES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value", [-1, -0.5, math.nan, math.inf, -math.inf, True, "1", 10**400, -(10**400), {}, [None]]
)
def test_what_is_no_number_of_a_model_is_found_by_its_name(name, value):
    assert find_misstated({name: value}).key == name
    assert find_misstated({"text_config": {"x": {name: value}}}).key == f"text_config.x.{name}"
    assert find_misstated({name: [value]}).key == name


@pytest.mark.parametrize("name", NAMES)
def test_both_ends_of_a_range_and_nothing_at_all_are_in_it(name):
    kind = int if RANGES[name].whole else float
    for end in (RANGES[name].least, RANGES[name].most):
        assert find_misstated({name: kind(end)}) is None
    assert find_misstated({name: None}) is None
    assert find_misstated({name: RANGES[name].most * 1.01}).range is RANGES[name]


def test_a_size_is_no_fraction():
    assert find_misstated({"hidden_size": 64.0}).why == ", no whole number from 1 to 131,072"


def test_rotary_numbers_without_a_range_of_their_own_are_numbers():
    assert find_misstated({"rope_scaling": {"new": math.nan}}).key == "rope_scaling.new"
    settings = {"type": "yarn", "truncate": False, "new": 3, "sections": [1, 2]}
    assert find_misstated({"rope_scaling": settings}) is None


def test_other_members_are_not_looked_at():
    assert find_misstated({"initializer_range": math.nan, "layer_types": [None]}) is None


def test_a_deep_config_is_no_matter():
    config = {"num_hidden_layers": -1}
    for _ in range(10**5):
        config = {"a": config}
    assert find_misstated(config).value == -1


def test_a_range_in_words():
    assert str(Range(1e-30, 1e15)) == "number from 1e-30 to 1e+15"
