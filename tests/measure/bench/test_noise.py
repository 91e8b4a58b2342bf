from __future__ import annotations

import time

from aipc.devices.counters.counter import Reading
from aipc.measure.bench.noise import Listener


class Cpu:
    """Says that the processor was busy for this share of the time."""

    def __init__(self, share):
        self.share = share

    def read(self, now):
        return Reading("cpu", "CPU", busy_share=self.share)


def test_other_programs_are_noticed():
    listener = Listener((Cpu(0.9),))
    with listener.sample(own := []):
        time.sleep(0.1)  # the test's own work is a small share of it
        own.append(0.0)
    noise = listener.noise([])
    assert noise.others_cpu_share > 0.3
    assert noise.warnings[0].startswith("other programs took ")


def test_what_the_participants_take_is_no_noise():
    listener = Listener((Cpu(0.5),))
    with listener.sample(own := []):
        own.append(1e6)
    noise = listener.noise([])
    assert noise.others_cpu_share == 0
    assert noise.warnings == ()


def test_without_counters_nothing_is_claimed():
    listener = Listener(())
    with listener.sample([]):
        pass
    noise = listener.noise([])
    assert (noise.others_cpu_share, noise.warnings) == (None, ())


def test_repeats_that_differ_much_are_named(outcome, sample):
    steady = [sample(0.1, 0.1) for _ in range(6)]
    wild = [sample(0.1, 0.1 * (1 + at % 3)) for at in range(6)]
    result = outcome(aipc=steady, peer=wild)
    [warning] = Listener(()).noise(result.participants).warnings
    assert warning.startswith("repeats of peer differ by ")
    assert warning.endswith("(prompt 32, 5 tokens, batch 1)")


def test_a_falling_clock_and_heat_are_named(monkeypatch):
    clocks, counts = iter([4000.0, 3000.0]), iter([5, 8])
    monkeypatch.setattr("aipc.measure.bench.noise.current_mhz", lambda: next(clocks))
    monkeypatch.setattr("aipc.measure.bench.noise.throttled", lambda: next(counts))
    listener = Listener(())
    for _ in range(2):
        with listener.sample([]):
            pass
    noise = listener.noise([])
    assert (noise.slowest_mhz, noise.fastest_mhz) == (3000.0, 4000.0)
    assert noise.warnings == (
        "the processor's clock fell from 4000 to 3000 MHz",
        "heat slowed a core down 3 times",
    )
