from __future__ import annotations

import contextlib
import threading

import pytest
from openvino_scorer import EXACT

from aipc.errors import UsageError
from aipc.runtimes.base import Decoding
from aipc.runtimes.openvino.engine import OpenVINORuntime

NOTHING = frozenset()
PROMPTS = [(72, 101, 108, 108, 111), (5, 6, 7) * 8, (9, 9, 9, 9), (1, 2, 3, 4) * 6]


def test_a_misspelt_property_names_it(tiny_artifact):
    with pytest.raises(UsageError, match="did you mean prompt_lookup"):
        OpenVINORuntime().open(tiny_artifact("llama-gqa")[0], "cpu", {"PROMPT_LOKUP": "YES"})


@pytest.fixture(scope="module", params=["llama-gqa", "phi3-window"])
def engines(request):
    """The same model without and with prompt lookup."""
    folder = request.getfixturevalue("tiny_artifact")(request.param)[0]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(OpenVINORuntime().open(folder, "cpu", each)))
            for each in (EXACT, {**EXACT, "prompt_lookup": "YES"})
        ]


@pytest.mark.parametrize(
    "decoding", [{}, {"repetition_penalty": 1.5}, {"temperature": 1.0, "top_k": 1}]
)
def test_the_answer_is_that_of_plain_decoding(engines, decoding):
    for prompt in PROMPTS:
        plain, sooner = (
            list(engine.start(prompt, Decoding(60, **decoding), NOTHING)) for engine in engines
        )
        assert sooner == plain


def test_it_needs_fewer_steps_where_the_answer_repeats(engines):
    def steps(engine):
        sizes = []
        generation = engine.start(PROMPTS[1], Decoding(60), NOTHING)
        advance = engine.advance
        engine.advance = lambda handle: sizes.append(1) or advance(handle)
        try:
            assert len(list(generation)) == 60
        finally:
            del engine.advance
        return len(sizes)

    plain, sooner = map(steps, engines)
    assert plain == 60
    assert sooner < plain - 4


def test_samples_repeat_by_their_seed(engines):
    def sample(seed):
        return list(engines[1].start(PROMPTS[0], Decoding(30, temperature=1.5, seed=seed), NOTHING))

    assert sample(5) == sample(5)
    assert len({tuple(sample(seed)) for seed in range(4)}) > 1


def test_stop_ids_limits_and_cancelling_hold_inside_a_step_of_several_tokens(engines):
    plain, sooner = engines
    free = list(plain.start(PROMPTS[1], Decoding(60), NOTHING))
    for at in (7, 20, 33):
        stop = free[at]
        stopped = list(sooner.start(PROMPTS[1], Decoding(60), frozenset({stop})))
        assert stopped == free[: free.index(stop) + 1]
    for limit in (1, 2, 5, 11):
        assert list(sooner.start(PROMPTS[1], Decoding(limit), NOTHING)) == free[:limit]
    generation = sooner.start(PROMPTS[1], Decoding(60), NOTHING)
    next(generation)
    generation.cancel()
    assert list(generation) == []


def test_requests_at_once_are_those_of_each_alone(engines):
    sooner = engines[1]
    alone = [list(sooner.start(prompt, Decoding(40), NOTHING)) for prompt in PROMPTS]
    together = [None] * len(PROMPTS)

    def run(n):
        together[n] = list(sooner.start(PROMPTS[n], Decoding(40), NOTHING))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(PROMPTS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
