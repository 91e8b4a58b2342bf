"""Calibration from the recipe to the artifact, on a tiny network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reference
from openvino_scorer import Scorer
from tokenizers import Tokenizer

from aipc.checkpoint import open_checkpoint
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.errors import UsageError
from aipc.models.store import Store
from aipc.session.convert import convert

TEXT = "It was a bright cold day in April, and the clocks were striking thirteen. " * 3


def error_of(folder, config, tensors):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = np.array(tokenizer.encode(TEXT).ids[:120])
    wanted = reference.logits(config, tensors, ids)
    return np.linalg.norm(Scorer(folder).logits(ids) - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["phi3", "qwen3", "gemma"])
def test_gptq_answers_closer_to_the_float_network_than_rounding(name, tiny_checkpoint, converted):
    folder, config, tensors = tiny_checkpoint(name)
    rounded = error_of(converted(folder, Recipe(group_size=32)), config, tensors)
    calibrated = converted(folder, Recipe(group_size=32, quantizer="gptq"))
    assert error_of(calibrated, config, tensors) < rounded


@pytest.mark.parametrize("name", ["phi3", "gemma"])
def test_awq_answers_closer_to_the_float_network_than_rounding(name, uneven_checkpoint, converted):
    folder, config, tensors = uneven_checkpoint(name)
    rounded = error_of(converted(folder, Recipe(group_size=32)), config, tensors)
    calibrated = converted(folder, Recipe(group_size=32, quantizer="awq"))
    assert error_of(calibrated, config, tensors) < rounded


@pytest.mark.parametrize("name", ["phi3", "qwen2", "qwen3", "gemma"])
def test_what_keeps_eight_bits_is_folded_as_well(
    name, tiny_checkpoint, convert_anew, scales_at_random
):
    folder, config, tensors = tiny_checkpoint(name)
    eight_bits = error_of(convert_anew(folder, Recipe("int8")), config, tensors)
    folded = convert_anew(folder, scales_at_random)
    assert error_of(folded, config, tensors) < 4 * eight_bits


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("name", ["phi3", "phi3-partial-tied", "gemma"])
def test_all_layers_calibrated_answers_closer_than_rounded(name, sym, tiny_checkpoint, converted):
    folder, config, tensors = tiny_checkpoint(name)
    recipe = Recipe(group_size=32, sym=sym, all_layers=True)
    rounded = converted(folder, recipe)
    calibrated = converted(folder, replace(recipe, quantizer="gptq"))
    assert error_of(calibrated, config, tensors) < error_of(rounded, config, tensors) < 0.5


def test_the_manifest_says_what_it_was_calibrated_on(tiny_checkpoint, tmp_path):
    text = tmp_path / "mine.txt"
    text.write_text("All happy families are alike. " * 200)
    recipe = Recipe(group_size=32, quantizer="gptq", calibration=str(text))
    made = convert(str(tiny_checkpoint("phi3")[0]), recipe, store=Store(tmp_path / "home"))
    facts = made.facts["calibration"]
    assert facts["source"] == str(text)
    assert facts["tokens"] >= 512
    text.write_text("Every unhappy family is unhappy in its own way. " * 200)
    again = convert(str(tiny_checkpoint("phi3")[0]), recipe, store=Store(tmp_path / "home"))
    assert again.path != made.path


def test_the_ratio_goes_by_what_was_measured_unless_all_are_rounded(tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint("phi3")[0]) as checkpoint:
        measured = plan_openvino(checkpoint, Recipe(group_size=32, ratio=0.5))
        rounded = Recipe(group_size=32, ratio=0.5, quantizer="rtn")
        positional = plan_openvino(checkpoint, rounded)
    for conversion in (measured, positional):
        matrices = [m for block in conversion.network.blocks for m in block.matrices]
        in_four = [m for m in matrices if conversion.encodings[m.name].bits == 4]
        share = sum(m.weights for m in in_four) / sum(m.weights for m in matrices)
        assert 0.2 < share <= 0.5
    eight = {name for name, encoding in measured.encodings.items() if encoding.bits == 8}
    blocks = {name.split(".")[1] for name in eight if name.startswith("block")}
    assert len(blocks) == 2  # single matrices of either block, not one block whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration": "mine.txt"}, "means nothing with --quantizer search"),
        ({"weight_format": "int8", "quantizer": "gptq"}, "gptq is for --weight-format int4"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Recipe(**options)


def test_a_calibration_text_that_is_not_there_is_named(tiny_checkpoint, tmp_path):
    recipe = Recipe(quantizer="gptq", calibration=str(tmp_path / "none.txt"))
    with pytest.raises(UsageError, match=r"none\.txt' can't be read"):
        convert(str(tiny_checkpoint("phi3")[0]), recipe, store=Store(tmp_path / "home"))
