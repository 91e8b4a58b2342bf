"""Answers that share a batch: rows that join, leave, move and are shared."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from reference import greedy

from aipc.errors import EngineError, UsageError
from aipc.runtimes.base import Constraint, Decoding
from aipc.runtimes.onnx import row_pool
from aipc.runtimes.onnx.engine import ONNXEngine
from aipc.runtimes.onnx.runtime import ONNXRuntime

pytest.importorskip("onnxruntime_genai", reason="pip install 'aipc[onnx]'")

PROMPT = [72, 101, 108, 108, 111, 32]
NOTHING = frozenset()


def answer(engine, prompt, count=8, **decoding):
    return list(engine.start(prompt, Decoding(count, **decoding), NOTHING))


@pytest.fixture
def opened(tiny_onnx):
    """Open a tiny network: (engine, config, tensors)."""
    engines = []

    def open_(name="llama-gqa", properties=None):
        folder, config, tensors = tiny_onnx(name)
        engines.append(ONNXRuntime().open(folder, "cpu", properties or {}))
        return engines[-1], config, tensors

    yield open_
    for engine in engines:
        engine.close()


@pytest.fixture
def calls(monkeypatch):
    """Tokens of each row of every call: [[tokens, …], …]."""
    seen = []

    def watch(engine):
        decoder = engine._batch._decoder
        compute = decoder.compute

        def watched(cache, first, tokens, lengths, adapters):
            seen.append([len(each) for each in tokens])
            return compute(cache, first, tokens, lengths, adapters)

        monkeypatch.setattr(decoder, "compute", watched)
        return seen

    return watch


def hold(engine, monkeypatch):
    """Have the batch wait before each call until the returned event is set."""
    gate = threading.Event()
    step = engine._batch._step
    monkeypatch.setattr(engine._batch, "_step", lambda: (gate.wait(), step()))
    return gate


@pytest.mark.parametrize("name", ["llama-gqa", "phi3-window", "phi3-longrope", "phi3-partial-tied"])
def test_rows_at_any_place_of_their_sequences_are_the_reference(name, opened):
    """Of unlike lengths, that join and leave, on both sides of the rotary switch and over it."""
    engine, config, tensors = opened(name)
    asked = [
        ((PROMPT * 4)[n : n + length], 6 + 3 * n) for n, length in enumerate((6, 20, 3, 11, 13))
    ]
    running = [engine.start(prompt, Decoding(count), NOTHING) for prompt, count in asked[:3]]
    begun = [next(each) for each in running]
    running += [engine.start(prompt, Decoding(count), NOTHING) for prompt, count in asked[3:]]
    answers = [[token, *rest] for token, rest in zip(begun, running[:3], strict=True)]
    answers += [list(rest) for rest in running[3:]]
    for (prompt, count), told in zip(asked, answers, strict=True):
        assert told == greedy(config, tensors, prompt, count), len(prompt)


def test_answers_are_computed_together(opened, calls, monkeypatch):
    engine, _, _ = opened()
    gate, seen = hold(engine, monkeypatch), calls(engine)
    running = [engine.start([n, 20, 30], Decoding(5), NOTHING) for n in range(8)]
    gate.set()
    assert [len(list(each)) for each in running] == [5] * 8
    assert max(map(len, seen)) >= 4
    assert len(seen) < 8 * 5


def test_the_history_of_a_chat_is_computed_once(opened, calls):
    engine, _, _ = opened()
    seen = calls(engine)
    prompt = PROMPT * 4
    for expected in (24, 3, 3, 3):  # the answer's last token, and what is new
        seen.clear()
        prompt = [*prompt, *answer(engine, prompt), 33, 34]
        assert seen == [[expected], *[[1]] * 7]


def test_a_prompt_begins_with_what_another_row_holds(opened, calls):
    """Also while that answers; and neither changes the other."""
    engine, config, tensors = opened()
    system = PROMPT * 5
    seen = calls(engine)
    first = engine.start([*system, 1, 2], Decoding(60), NOTHING)
    begun = next(first)
    assert answer(engine, [*system, 7]) == greedy(config, tensors, [*system, 7], 8)
    assert [begun, *first] == greedy(config, tensors, [*system, 1, 2], 60)
    prompts = [row for call in seen for row in call if row > 1]
    assert prompts == [32]
    seen.clear()
    answer(engine, [*system, 7, 8, 9])
    assert seen[0] == [9 - 7 + 1 - 1]


def test_another_conversation_does_not_take_the_row_of_one_that_goes_on(opened, calls, monkeypatch):
    engine, _, _ = opened()
    gate = hold(engine, monkeypatch)
    chats = [[n, *PROMPT * 3] for n in range(3)]
    running = [engine.start(chat, Decoding(40), NOTHING) for chat in chats]
    gate.set()
    chats = [[*chat, *each, 40] for chat, each in zip(chats, running, strict=True)]
    seen = calls(engine)
    for chat in reversed(chats):
        seen.clear()
        answer(engine, chat, 2)
        assert seen[0] == [2]


def test_more_requests_than_rows_take_their_turn(opened, monkeypatch):
    monkeypatch.setattr(row_pool, "MOST_ROWS", 3)
    engine, config, tensors = opened()
    running = [engine.start([n, 20, 30], Decoding(6 + n), NOTHING) for n in range(8)]
    for n, each in enumerate(running):
        assert list(each) == greedy(config, tensors, [n, 20, 30], 6 + n)


def test_a_request_waits_for_the_memory_of_another(opened, monkeypatch):
    engine, config, tensors = opened()
    pool, room = engine._batch._pool, 60 * engine._folder.token_bytes
    held = lambda: pool.cache.rows * pool.cache.capacity * engine._folder.token_bytes  # noqa: E731
    monkeypatch.setattr(pool, "_available", lambda: room + 20_000 - held())
    running = [engine.start([n, 20, 30], Decoding(40), NOTHING) for n in range(3)]
    for n, each in enumerate(running):
        assert list(each) == greedy(config, tensors, [n, 20, 30], 40)
    with pytest.raises(EngineError, match="a sequence of 123 tokens needs"):
        answer(engine, [1, 2, 3], 120)
    assert answer(engine, [1, 2, 3]) == greedy(config, tensors, [1, 2, 3], 8)


def test_what_is_kept_gives_way_to_what_runs(opened, monkeypatch):
    engine, config, tensors = opened()
    gate = hold(engine, monkeypatch)
    running = [engine.start([n, 20, 30], Decoding(40), NOTHING) for n in range(4)]
    gate.set()
    assert [len(list(each)) for each in running] == [40] * 4
    pool = engine._batch._pool
    rows = len(pool.rows)
    assert rows > 1
    monkeypatch.setattr(pool, "_available", lambda: 100 * engine._folder.token_bytes)
    assert answer(engine, [5, 6], 60) == greedy(config, tensors, [5, 6], 60)
    assert len(pool.rows) < rows


def test_what_fails_ends_its_own_request_alone(opened, monkeypatch):
    engine, config, tensors = opened()
    kept = engine.start(PROMPT, Decoding(20), NOTHING)
    begun = next(kept)
    compute = engine._batch._decoder.compute

    def failing(cache, first, tokens, lengths, adapters):
        if 99 in tokens[0]:
            raise RuntimeError("no such kernel")
        return compute(cache, first, tokens, lengths, adapters)

    monkeypatch.setattr(engine._batch._decoder, "compute", failing)
    with pytest.raises(EngineError, match="failed while generating: no such kernel"):
        answer(engine, [1, 99])
    assert [begun, *kept] == greedy(config, tensors, PROMPT, 20)


def test_a_prompt_under_way_is_cancelled_between_its_pieces(opened, calls, monkeypatch):
    engine, _, _ = opened()
    gate, seen = hold(engine, monkeypatch), calls(engine)
    generation = engine.start(PROMPT * 20, Decoding(4), NOTHING)
    step = engine._batch._step
    monkeypatch.setattr(engine._batch, "_step", lambda: (step(), generation.cancel()))
    gate.set()
    assert list(generation) == []
    assert answer(engine, [1, 2, 3], 1)
    assert seen == [[60], [3]]  # 120 tokens in even pieces of at most 64


def test_a_constrained_answer_shares_the_calls_of_others(opened, calls, monkeypatch):
    engine, config, tensors = opened()
    gate, seen = hold(engine, monkeypatch), calls(engine)
    bound = engine.start(
        PROMPT, Decoding(20, constraint=Constraint("regex", "[a-f]{9}")), frozenset({257})
    )
    free = engine.start(PROMPT, Decoding(12), NOTHING)
    gate.set()
    assert list(free) == greedy(config, tensors, PROMPT, 12)
    told = list(bound)
    assert (len(told), told[-1]) == (10, 257)
    assert [1, 1] in seen


def test_a_graph_of_another_kind_is_left_to_genai(tiny_onnx):
    folder, _, _ = tiny_onnx("llama-gqa")
    file = folder / "genai_config.json"
    written = json.loads(file.read_text())
    written["model"]["decoder"]["sliding_window"] = {"window_size": 64}
    file.write_text(json.dumps(written))
    engine = ONNXRuntime().open(folder, "cpu", {})
    assert isinstance(engine, ONNXEngine)
    engine.close()
    with pytest.raises(UsageError, match="has no prompt lookup with this model"):
        ONNXRuntime().open(folder, "cpu", {"prompt_lookup": "YES"})


@pytest.mark.parametrize("name", ["llama-gqa", "phi3-longrope"])
@pytest.mark.parametrize(
    "decoding", [{}, {"repetition_penalty": 1.5}, {"temperature": 1.2, "seed": 3}]
)
def test_prompt_lookup_gives_the_answer_of_plain_decoding(name, decoding, opened):
    plain, _, _ = opened(name)
    sooner, _, _ = opened(name, {"prompt_lookup": "YES"})
    for prompt in (PROMPT, [5, 6, 7] * 8, [9] * 4, [1, 2, 3, 4] * 6):
        assert answer(sooner, prompt, 60, **decoding) == answer(plain, prompt, 60, **decoding)


def test_prompt_lookup_takes_fewer_calls_where_the_answer_repeats(opened, calls):
    engine, config, tensors = opened(properties={"prompt_lookup": "YES"})
    seen = calls(engine)
    prompt = [5, 6, 7] * 8
    assert answer(engine, prompt, 60) == greedy(config, tensors, prompt, 60)
    assert len(seen) < 40


@pytest.mark.parametrize("count", [1, 2])
def test_an_answer_that_ends_where_the_rotary_switch_is_ends(count, opened):
    """Beside others that go on: no row may take another's place under way."""
    engine, config, tensors = opened("phi3-longrope")
    switch = engine._folder.switch
    prompts = [[*range(40, 40 + length)] for length in (switch - 3, switch, 5)]
    running = [engine.start(prompt, Decoding(12), NOTHING) for prompt in prompts[::2]]
    begun = [next(each) for each in running]
    last = engine.start(prompts[1], Decoding(count), NOTHING)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(list, last).result(timeout=60)
    assert told == greedy(config, tensors, prompts[1], count)
    for prompt, first, rest in zip(prompts[::2], begun, running, strict=True):
        assert [first, *rest] == greedy(config, tensors, prompt, 12)


def test_it_tells_how_much_of_a_prompt_was_kept_from_an_earlier_one(opened):
    engine, _, _ = opened()
    told = []
    for prompt in (PROMPT, PROMPT, PROMPT[:3] + PROMPT[:1]):
        generation = engine.start(prompt, Decoding(2), NOTHING)
        list(generation)
        told.append(generation.cached_tokens)
    assert told == [0, len(PROMPT) - 1, 3]
