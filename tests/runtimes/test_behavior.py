"""What every runtime has to keep, asked of each alike."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from aipc.errors import EngineError
from aipc.runtimes.base import Decoding

PROMPT = (72, 101, 108, 108, 111)
NOTHING = frozenset()


def answer(engine, prompt=PROMPT, decoding=Decoding(12), stop_ids=NOTHING):  # noqa: B008 - frozen
    return list(engine.start(prompt, decoding, stop_ids))


def test_greedy_answers_repeat_and_keep_to_the_limit(engine):
    first = answer(engine)
    assert len(first) == 12
    assert answer(engine) == first
    assert all(type(token) is int for token in first)


def test_an_answer_that_nobody_reads_while_it_is_made_is_the_same(engine):
    free = answer(engine)
    assert answer(engine, decoding=Decoding(12, whole=True)) == free
    stop = free[4]
    stopped = answer(engine, decoding=Decoding(12, whole=True), stop_ids=frozenset({stop, 258}))
    assert stopped == free[: free.index(stop) + 1]


def test_a_longer_answer_begins_as_the_shorter_one(engine):
    assert answer(engine, decoding=Decoding(20))[:12] == answer(engine)


def test_a_stop_id_is_the_last_token(engine):
    free = answer(engine)
    stop = free[4]
    stopped = answer(engine, stop_ids=frozenset({stop, 258}))
    assert stopped == free[: free.index(stop) + 1]


def test_the_same_seed_gives_the_same_sample(engine):
    def sample(seed):
        return answer(engine, decoding=Decoding(16, temperature=1.5, seed=seed))

    assert sample(7) == sample(7)
    assert len({tuple(sample(seed)) for seed in range(4)}) > 1


def test_cancel_ends_the_iteration_and_may_be_repeated(engine):
    generation = engine.start(PROMPT, Decoding(100), NOTHING)
    assert next(generation) is not None
    generation.cancel()
    generation.cancel()
    assert len(list(generation)) <= 1
    assert list(generation) == []


def test_cancel_from_another_thread(engine):
    generation = engine.start(PROMPT, Decoding(100), NOTHING)
    seen = [next(generation)]
    thread = threading.Thread(target=generation.cancel)
    thread.start()
    thread.join()
    seen += generation
    assert len(seen) <= 2


def test_one_cancelled_generation_does_not_touch_another(engine):
    alone = answer(engine)
    kept = engine.start(PROMPT, Decoding(12), NOTHING)
    dropped = engine.start((1, 2, 3), Decoding(12), NOTHING)
    seen = [next(kept)]
    next(dropped)
    dropped.cancel()
    assert [*seen, *kept] == alone


def test_generations_in_many_threads_are_those_of_each_alone(engine):
    prompts = [(10 + n, 20, 30 + n) for n in range(6)]
    alone = [answer(engine, prompt) for prompt in prompts]
    together = [None] * len(prompts)

    def run(n):
        together[n] = answer(engine, prompts[n])

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_an_empty_prompt_is_refused(engine):
    with pytest.raises(EngineError, match="no tokens"):
        answer(engine, prompt=())


def test_logprobs_come_with_the_tokens_and_are_the_same_each_time(engine):
    def told(**decoding):
        generation = engine.start(PROMPT, Decoding(6, logprobs=True, **decoding), NOTHING)
        lengths = [len(generation.logprobs) for _ in generation]
        assert lengths == [1, 2, 3, 4, 5, 6]
        return list(generation.logprobs)

    assert told() == pytest.approx(told(), abs=1e-4)
    assert told(whole=True) == pytest.approx(told(), abs=1e-4)
    assert all(-20 < each <= 0 for each in told(temperature=1.5, seed=3))
    silent = engine.start(PROMPT, Decoding(6), NOTHING)
    assert (len(list(silent)), list(silent.logprobs)) == (6, [])


def test_alternatives_come_with_the_tokens(engine):
    generation = engine.start(PROMPT, Decoding(5, logprobs=True, top_logprobs=20), NOTHING)
    for count, token in enumerate(generation, 1):
        assert len(generation.top_logprobs) == count
        ranked = generation.top_logprobs[-1]
        assert len(ranked) == 20
        assert ranked[0] == (token, generation.logprobs[-1])  # greedy: the likeliest, to the bit
        assert all(above >= below for (_, above), (_, below) in pairwise(ranked))


def test_every_place_of_a_text_is_scored_beside_answers_under_way(engine):
    running = engine.start(PROMPT, Decoding(12), NOTHING)
    seen = [next(running)]
    rows = [row for piece in engine.scores(PROMPT) for row in piece]
    assert len(rows) == len(PROMPT)
    assert len({row.size for row in rows}) == 1
    assert [*seen, *running] == answer(engine)
    with pytest.raises(EngineError, match="tokens"):
        list(engine.scores(()))


def test_many_cancelled_generations_leave_the_engine_as_it_was(engine):
    alone = answer(engine)
    for n in range(60):
        generation = engine.start((n, 20, 30), Decoding(100), NOTHING)
        if n % 3:
            next(generation)
        generation.cancel()
    assert answer(engine) == alone


def test_an_interrupted_reader_does_not_hold_up_another(engine):
    alone = answer(engine)
    kept = engine.start(PROMPT, Decoding(12), NOTHING)
    left = engine.start((1, 2, 3), Decoding(50), NOTHING)
    next(left)  # and nobody reads on
    assert list(kept) == alone
    left.cancel()


def test_facts_say_what_runs_and_where(engine):
    assert engine.facts["device"] == engine.device == "CPU"
    assert {"runtime", "version", "properties"} <= set(engine.facts)
