from __future__ import annotations

import pytest

from aipc.choose.measured import Work
from aipc.convert.recipe import Recipe
from aipc.generate import TextPipeline
from aipc.measure.tune.prompts import TuningPrompts
from aipc.session.convert import convert


@pytest.fixture(scope="module")
def text(smollm_gguf, small_store):
    return TextPipeline.read(convert(str(smollm_gguf), Recipe("int4"), store=small_store).path)


def test_random_prompts_are_exact_and_never_the_same(text):
    prompts = TuningPrompts(text, Work("plain", 32, 8, streams=3))
    first, second = prompts.take(), prompts.take()
    assert [len(one) for one in first] == [32, 32, 32]
    assert len({tuple(one[:4]) for one in [*first, *second]}) == 6
    assert len(prompts.take(1)) == 1
    assert TuningPrompts(text, Work("plain", 32, 8, streams=3)).take() == first


def test_prompts_to_copy_hold_what_the_answer_repeats(text):
    prompts = TuningPrompts(text, Work("copy", 48, 8))
    (first,), (second,) = prompts.take(), prompts.take()
    assert 48 <= len(first) <= 48 + 60
    assert "Repeat this text word for word" in text.tokenizer.decode(first)
    assert first[-30:-5] != second[-30:-5]
