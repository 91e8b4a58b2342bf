from __future__ import annotations

from dataclasses import replace

import pytest

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.recipe import Encoding, Recipe, assign, dividing_group, recorded_recipe
from aipc.errors import UsageError


@pytest.fixture(scope="module")
def network(tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint("phi3")[0]) as checkpoint:
        return read_network(checkpoint)


@pytest.mark.parametrize(
    ("width", "requested", "group"),
    [(576, 128, 64), (576, 32, 32), (3072, 128, 128), (96, 128, 32), (100, 128, 100), (64, -1, 64)],
)
def test_the_group_is_the_largest_that_divides_the_width(width, requested, group):
    assert dividing_group(width, requested) == group


def test_only_the_groups_that_a_target_runs_are_taken():
    assert dividing_group(576, 128, (128, -1)) == 576
    assert dividing_group(3072, 128, (128, -1)) == 128


def test_embedding_and_head_keep_eight_bits_in_an_int4_recipe(network):
    encodings = assign(network, Recipe("int4", group_size=32))
    assert encodings["embedding"] == Encoding(8, 64, sym=True)
    assert encodings["head"] == Encoding(8, 64, sym=True)
    assert encodings["block.0.down"] == Encoding(4, 32, sym=True)


def test_embedding_and_head_get_four_bits_where_the_recipe_says_all_layers(network):
    encodings = assign(network, Recipe("int4", group_size=32, all_layers=True))
    assert set(encodings.values()) == {Encoding(4, 32, sym=True)}


def _named_down(feed_forward, name):
    return replace(feed_forward, down=replace(feed_forward.down, name=name))


def test_ratio_keeps_whole_blocks_in_eight_bits_from_the_ends_inwards(network):
    six = replace(network, blocks=tuple(network.blocks[i % 2] for i in range(6)))
    six = replace(
        six,
        blocks=tuple(
            replace(block, feed_forward=_named_down(block.feed_forward, f"block.{i}.down"))
            for i, block in enumerate(six.blocks)
        ),
    )
    encodings = assign(six, Recipe("int4", ratio=0.5))
    assert [encodings[f"block.{i}.down"].bits for i in range(6)] == [8, 8, 4, 4, 4, 8]


def test_int8_and_fp16_treat_all_matrices_alike(network):
    assert {e.bits for e in assign(network, Recipe("int8")).values()} == {8}
    assert {e.bits for e in assign(network, Recipe("fp16")).values()} == {16}


@pytest.mark.parametrize(
    ("weight_format", "option"),
    [
        ("int8", {"group_size": 32}),
        ("int8", {"ratio": 0.5}),
        ("fp16", {"sym": False}),
        ("int8", {"all_layers": True}),
        ("int8", {"embedding": "int4"}),
    ],
)
def test_an_option_without_a_meaning_is_refused(weight_format, option):
    with pytest.raises(UsageError, match=f"means nothing with --weight-format {weight_format}"):
        Recipe(weight_format, **option)


def test_an_embedding_has_one_format():
    with pytest.raises(UsageError, match="--embedding int4 means nothing with --all-layers"):
        Recipe(all_layers=True, embedding="int4")


def test_a_recipe_has_a_short_name():
    assert Recipe("int8", sym=False).tag == "int8-asym"
    assert Recipe("int4").tag == "int4-g128-sym"
    assert Recipe("int4", group_size=-1, sym=False, ratio=0.6).tag == "int4-row-asym-r0.6"
    assert Recipe(all_layers=True, quantizer="gptq").tag == "int4-g128-sym-all-gptq"


def test_a_recipe_is_told_as_the_flags_that_ask_for_it():
    assert Recipe("int4", all_layers=True).flags == (
        "--weight-format int4 --group-size 128 --ratio 1 --sym --all-layers"
    )


def test_a_recipe_that_an_earlier_version_kept_is_read():
    """Rounding was the default then, and so stands in every record of 16 bits."""
    assert Recipe("fp16", quantizer="rtn").tag == Recipe("fp16").tag == "fp16"
    with pytest.raises(UsageError, match="gptq is for --weight-format int4"):
        Recipe("fp16", quantizer="gptq")


@pytest.mark.parametrize(
    ("quantizer", "calibration", "read"),
    [
        ("search", "own.txt", "builtin"),
        ("rtn", "none", "builtin"),
        ("gptq", "own.txt", "own.txt"),
    ],
)
def test_the_text_of_an_earlier_search_is_left_out(quantizer, calibration, read):
    table = {"weight_format": "int4", "quantizer": quantizer, "calibration": calibration}
    assert recorded_recipe(table) == Recipe(quantizer=quantizer, calibration=read)


def test_a_record_without_calibration_is_one_with_the_builtin_text():
    assert recorded_recipe({"quantizer": "awq"}) == Recipe(quantizer="awq")


@pytest.mark.parametrize("quantizer", ["rtn", "search"])
@pytest.mark.parametrize("calibration", ["none", "own.txt"])
def test_text_for_a_quantizer_that_reads_none_is_refused(quantizer, calibration):
    with pytest.raises(UsageError, match=f"means nothing with --quantizer {quantizer}"):
        Recipe(quantizer=quantizer, calibration=calibration)


@pytest.mark.parametrize(
    "recipe",
    [Recipe("fp16"), Recipe("int8", sym=False), Recipe(), Recipe(quantizer="gptq", ratio=0.5)],
    ids=lambda recipe: recipe.tag,
)
def test_every_recipe_can_be_rounded_instead(recipe):
    rounded = recipe.rounded
    assert rounded.weight_format == recipe.weight_format
    assert not rounded.is_searched
    assert not rounded.is_calibrated
    assert (rounded.group_size, rounded.ratio, rounded.sym) == (
        *(recipe.group_size, recipe.ratio),
        recipe.sym,
    )
