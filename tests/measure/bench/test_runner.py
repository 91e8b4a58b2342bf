from __future__ import annotations

import sys
import textwrap

import pytest

from aipc.errors import MeasurementError
from aipc.measure.bench.runner import ParticipantProcess

PEER = """
    import time

    def load(options):
        print("a vendor's chatter on stdout")
        if options.get("broken"):
            raise OSError("no model\\nhere")
        return {"device": options["device"]}, run

    def run(prompts, tokens):
        if tokens == 13:
            raise ValueError("13 brings bad luck")
        if tokens == 14:
            import os, sys
            print("the last words", file=sys.stderr, flush=True)
            os._exit(3)
        block = bytearray(50_000_000)
        return [[at / 10 for at in range(tokens)] for _ in prompts][: 1 if tokens == 15 else None]
"""


@pytest.fixture
def make(tmp_path):
    """A runner of a small peer, closed at the end."""
    script = tmp_path / "peer_small.py"
    script.write_text(textwrap.dedent(PEER), encoding="utf-8")
    made = []

    def runner(python=None, **options):
        made.append(ParticipantProcess("small", python, script, {"device": "CPU", **options}))
        return made[-1]

    yield runner
    for one in made:
        one.close()


def test_a_peer_in_a_process_of_its_own(make):
    runner = make()
    loaded = runner.load()
    assert loaded.facts == {"device": "CPU"}
    assert loaded.seconds > 0
    run = runner.run([[1, 2], [3, 4]], 3)
    assert run.times == ((0.0, 0.1, 0.2), (0.0, 0.1, 0.2))
    assert run.seconds > 0
    assert run.cpu_s > 0
    if sys.platform == "linux":
        assert run.peak_memory_bytes > loaded.peak_memory_bytes + 40_000_000


def test_an_error_in_a_run_is_told_and_the_next_run_works(make):
    runner = make()
    runner.load()
    with pytest.raises(MeasurementError, match="small failed: ValueError: 13 brings bad luck"):
        runner.run([[1]], 13)
    assert len(runner.run([[1]], 2).times[0]) == 2


def test_a_process_that_dies_leaves_its_last_words(make):
    runner = make()
    runner.load()
    with pytest.raises(MeasurementError, match="ended with status 3: the last words"):
        runner.run([[1]], 14)


def test_an_answer_of_another_length_is_refused(make):
    runner = make()
    runner.load()
    with pytest.raises(
        MeasurementError, match="gave 15 tokens where 15 were requested for each of 2"
    ):
        runner.run([[1], [2]], 15)


def test_what_does_not_load_says_why_in_one_line(make):
    with pytest.raises(MeasurementError, match="small failed: OSError: no model here"):
        make(broken=True).load()


def test_a_python_that_is_not_there_is_named(make):
    with pytest.raises(MeasurementError, match="'/nowhere/python' can't be run"):
        make(python="/nowhere/python").load()


def test_the_peers_folder_does_not_shadow_the_standard_library(make, tmp_path):
    (tmp_path / "statistics.py").write_text("raise RuntimeError('shadowed')", encoding="utf-8")
    script = tmp_path / "peer_small.py"
    script.write_text(
        "import statistics\n\n"
        "def load(options):\n    return {'mean': statistics.mean([1, 3])}, None\n",
        encoding="utf-8",
    )
    assert make().load().facts == {"mean": 2}
