"""What a loaded setup makes of the times that its process reports."""

from __future__ import annotations

import pytest

from aipc.choose.measured import Work
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.errors import MeasurementError
from aipc.generate import TextPipeline
from aipc.measure.bench.runner import LoadResult, RunResult
from aipc.measure.tune import bench
from aipc.measure.tune.bench import SetupProcess, TuningPrompts
from aipc.session.convert import convert

SETUP = Setup("openvino", "GPU.0", None, {"A": "1"})


class Runner:
    """Gives each prompt its tokens every 0.1 s, the first after 1 s; ``made`` keeps the last."""

    made = None
    fails = False

    def __init__(self, name, python, script, options):
        self.options, self.closed = options, False
        Runner.made = self

    def load(self):
        return LoadResult(2.0, None, {})

    def run(self, prompts, tokens):
        if self.fails:
            raise MeasurementError("it crashed")
        times = tuple(tuple(1 + 0.1 * at for at in range(tokens)) for _ in prompts)
        return RunResult(times, 1 + 0.1 * (tokens - 1), 0.0, None)

    def close(self):
        self.closed = True


class Prompts:
    def __init__(self, streams):
        self.streams = streams

    def take(self, streams=None):
        return [[1, 2, 3]] * (streams or self.streams)


class Counter:
    name = "package"

    def __init__(self, *readings):
        self.readings = list(readings)

    def joules(self):
        return self.readings.pop(0)


@pytest.fixture
def loaded_setup(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "ParticipantProcess", Runner)
    (tmp_path / "model.bin").write_bytes(b"12345")

    def make(streams=1, energy=None):
        return SetupProcess(SETUP, tmp_path, Prompts(streams), energy)

    return make


def test_one_answer(loaded_setup):
    loaded = loaded_setup()
    run = loaded.run(5)
    assert (run.first_token_s, run.tokens_per_s, run.joules_per_token) == (1.0, None, None)
    assert run.token_s == pytest.approx(0.1)
    assert (loaded.load_s, loaded.cold_s, loaded.nbytes) == (2.0, 1.0, 5)
    options = Runner.made.options
    assert (options["device"], options["properties"]) == ("gpu.0", {"A": "1"})


def test_tokens_that_arrive_together_count_as_they_are_read():
    assert bench._token_s([[1.0, 1.0, 1.0, 1.3, 1.3, 1.6]]) == pytest.approx(0.12)


def test_several_answers_at_once(loaded_setup):
    assert loaded_setup(streams=8).run(11).tokens_per_s == pytest.approx(8 * 11 / 2.0)


def test_energy_is_a_tokens_share_and_absent_where_the_counter_is_silent(loaded_setup):
    counter = Counter(100.0, 120.0, 120.0, None)
    loaded = loaded_setup(energy=counter)
    assert loaded.run(10).joules_per_token == pytest.approx(2.0)
    assert loaded.run(10).joules_per_token is None


def test_one_that_fails_in_its_first_answer_is_closed(loaded_setup, monkeypatch):
    monkeypatch.setattr(Runner, "fails", True)
    with pytest.raises(MeasurementError, match="it crashed"):
        loaded_setup()
    assert Runner.made.closed


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
