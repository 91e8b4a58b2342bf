from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from aipc.batch import work as module
from aipc.batch.answers import failed_answer, new_answer
from aipc.batch.input.line_index import LineEntry, LineIndex
from aipc.batch.options import BatchOptions
from aipc.batch.work import BatchWork, in_order

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


def index_of(*rows):
    """Of (model, url, prefix, expected tokens)."""
    index = LineIndex()
    for number, (model, url, prefix, tokens) in enumerate(rows, 1):
        index.add(LineEntry(number, 0, 1, 0, f"{number}", model, url, prefix, tokens))
    index.seal()
    return index


def key(wide, middle=0, narrow=0):
    """A prefix's key by what its groups have in common."""
    return wide << 32 | middle << 16 | narrow


def answer(entry, tokens=0):
    return new_answer(entry.custom_id, {"usage": {"prompt_tokens": tokens}}, "req")


def test_models_follow_each_other_as_they_come_first_whatever_they_are_asked():
    rows = [("b", CHAT, 1, 5), ("a", CHAT, 2, 9), ("b", EMBEDDINGS, 3, 1), ("a", CHAT, 4, 5)]
    assert list(in_order(index_of(*rows))) == [0, 2, 1, 3]


def test_lines_that_begin_alike_are_neighbors_and_the_longest_comes_first():
    rows = [
        ("m", CHAT, key(1, 1), 10),
        ("m", CHAT, key(2), 50),
        ("m", CHAT, key(1, 2), 30),
        ("m", CHAT, key(2), 20),
        ("m", CHAT, key(1, 1), 40),
    ]
    assert list(in_order(index_of(*rows))) == [1, 3, 4, 0, 2]


def random_index(seed, count=400):
    draw = random.Random(seed)
    return index_of(
        *(
            (
                draw.choice("abc"),
                draw.choice([CHAT, EMBEDDINGS]),
                key(draw.randrange(9), draw.randrange(3), draw.randrange(3)),
                draw.randrange(2000),
            )
            for _ in range(count)
        )
    )


@pytest.mark.parametrize("seed", range(20))
def test_every_line_comes_once_and_each_group_is_together(seed):
    index = random_index(seed)
    order = in_order(index)
    assert sorted(order) == list(range(len(index)))
    entries = [index[int(at)] for at in order]
    for bits in (32, 16, 0):
        groups = [(entry.model, entry.prefix >> bits) for entry in entries]
        changes = sum(one != next_one for one, next_one in pairwise(groups))
        assert changes == len(set(groups)) - 1


@pytest.mark.parametrize("seed", range(20))
def test_a_models_last_group_is_the_one_whose_longest_line_is_shortest(seed):
    index = random_index(seed)
    entries = [index[int(at)] for at in in_order(index)]
    for model in "abc":
        longest = {}
        for entry in entries:
            if entry.model == model:
                group = entry.prefix >> 32
                longest[group] = max(longest.get(group, 0), entry.expected_tokens)
        assert list(longest.values()) == sorted(longest.values(), reverse=True)


def test_some_lines_alone_are_put_in_order():
    index = random_index(7)
    some = np.arange(0, len(index), 3)
    assert sorted(in_order(index, some)) == list(some)
    assert list(in_order(index, some[:0])) == []
    assert list(in_order(index_of())) == []


def test_each_line_is_handed_out_once_and_its_answer_kept():
    index, kept = random_index(1, 50), []
    work = BatchWork(index, in_order(index), keep=kept.append)
    taken = []
    while entry := work.take():
        taken.append(entry.number)
        work.done(answer(entry, 3))
    assert taken == [at + 1 for at in in_order(index)]
    assert [int(one.custom_id) for one in kept] == taken
    counts = work.counts
    assert (counts.done, counts.failed, counts.left, counts.under_way) == (50, 0, 0, 0)
    assert counts.tokens == 150
    assert not work.stopped


def test_a_line_given_back_is_the_next_one():
    work = BatchWork(random_index(1, 3))
    first = work.take()
    work.take()
    work.give_back(first)
    assert (work.counts.left, work.counts.under_way) == (3, 1)
    assert work.take() == first


def test_all_are_taken_at_once_in_order_and_none_where_it_is_stopped():
    index = random_index(1, 50)
    work = BatchWork(index, in_order(index))
    first = work.take()
    taken = work.take_all()
    assert [one.number for one in (first, *taken)] == [at + 1 for at in in_order(index)]
    assert [*taken[10:13]] == [taken[10], taken[11], taken[12]]
    assert taken[-1] == [*taken][-1]
    assert (work.take(), len(work.take_all())) == (None, 0)
    assert (work.counts.left, work.counts.under_way) == (50, 50)
    work = BatchWork(index)
    work.stop("enough")
    assert len(work.take_all()) == 0
    assert (work.counts.left, work.counts.under_way) == (50, 0)


def test_counts_tell_what_is_under_way_failed_and_left():
    work = BatchWork(random_index(1, 4))
    first, second = work.take(), work.take()
    assert work.counts.left_s is None
    work.done(failed_answer(first.custom_id, "code", "why"))
    counts = work.counts
    assert (counts.done, counts.failed, counts.left, counts.under_way) == (1, 1, 3, 1)
    assert counts.left_s == pytest.approx(3 * counts.elapsed_s)
    work.done(answer(second))
    assert work.counts.left == 2


def test_no_more_is_begun_once_so_many_tokens_are_computed():
    work = BatchWork(random_index(1, 9), options=BatchOptions(max_tokens_total=10))
    entries = [work.take() for _ in range(3)]
    work.done(answer(entries[0], 6))
    assert work.take() is not None
    work.done(answer(entries[1], 4))
    assert work.take() is None
    assert "--max-tokens-total" in work.stopped
    work.done(answer(entries[2], 5))
    assert (work.counts.done, work.counts.left, work.counts.under_way) == (3, 6, 1)


def test_no_more_is_begun_once_the_time_is_over(monkeypatch):
    options = BatchOptions(until="2h")
    work = BatchWork(random_index(1, 9), options=options)
    assert work.take() is not None
    monkeypatch.setattr(module, "_now", lambda: options.ends_at)
    assert work.take() is None
    assert "--until 2h" in work.stopped


def test_it_may_be_stopped_for_another_reason_and_the_first_one_stays():
    work = BatchWork(random_index(1, 2))
    work.stop("interrupted")
    work.stop("again")
    assert work.take() is None
    assert work.stopped == "interrupted"


def test_what_is_done_is_not_stopped():
    index = random_index(1, 1)
    work = BatchWork(index, options=BatchOptions(max_tokens_total=1))
    entry = work.take()
    work.done(answer(entry, 5))
    assert work.take() is None
    assert not work.stopped
