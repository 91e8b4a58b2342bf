from __future__ import annotations

from itertools import pairwise

import pytest

from aipc.errors import MeasurementError, PromptTooLong
from aipc.measure.bench.result import Workload
from aipc.measure.bench.workload import Case, RandomPrompts, TextPrompts, cases, check_context

WORKLOAD = Workload(prompts=(4, 8), outputs=(2,), batches=(1, 3), repeats=2, seed=1)


def test_cases_are_all_combinations():
    assert cases(WORKLOAD) == (Case(4, 2, 1), Case(4, 2, 3), Case(8, 2, 1), Case(8, 2, 3))


def test_random_prompts_have_the_exact_lengths_and_no_special_ids():
    prompts = RandomPrompts(100, lambda token: token < 10, seed=1).take(Case(50, 2, 3), 0)
    assert [len(prompt) for prompt in prompts] == [50, 50, 50]
    assert all(10 <= token < 100 for prompt in prompts for token in prompt)


def test_the_same_seed_draws_the_same_prompts_and_no_two_begin_alike():
    def taken(seed):
        drawn = RandomPrompts(50_000, lambda _: False, seed)
        return [prompt for repeat in range(5) for prompt in drawn.take(Case(16, 2, 2), repeat)]

    assert taken(1) == taken(1)
    assert taken(1) != taken(2)
    assert len({prompt[0] for prompt in taken(1)}) > 8


def test_a_text_is_cut_at_other_places_and_goes_round():
    prompts = TextPrompts([1, 2, 3, 4, 5], seed=1)
    [prompt] = prompts.take(Case(12, 2, 1), 0)
    assert len(prompt) == 12
    assert all(later == earlier % 5 + 1 for earlier, later in pairwise(prompt))
    starts = {prompts.take(Case(3, 2, 1), repeat)[0][0] for repeat in range(30)}
    assert starts == {1, 2, 3, 4, 5}


def test_more_prompts_than_the_text_has_places():
    assert len(TextPrompts([1, 2], seed=1).take(Case(3, 2, 5), 0)) == 5


def test_what_has_too_few_tokens_is_refused():
    with pytest.raises(MeasurementError, match="give a longer text"):
        TextPrompts([7, 7], seed=1)
    with pytest.raises(MeasurementError, match="no ids to draw"):
        RandomPrompts(5, lambda _: True, seed=1)


def test_lengths_beyond_the_context_are_refused_before_any_work():
    check_context(WORKLOAD, 10)
    with pytest.raises(PromptTooLong, match="need 10 tokens and the context holds 9"):
        check_context(WORKLOAD, 9)
