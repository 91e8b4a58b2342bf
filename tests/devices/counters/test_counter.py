from __future__ import annotations

from types import SimpleNamespace

import pytest

from aipc.devices.counters.counter import CpuCounter, Growth, share


def test_a_rate_needs_two_readings() -> None:
    growth = Growth()
    assert growth.per_second(100, 10.0) is None
    assert growth.per_second(150, 10.5) == pytest.approx(100)
    assert growth.per_second(150, 11.0) == 0


def test_a_number_that_wraps_goes_on() -> None:
    growth = Growth(wraps_after=1000)
    growth.per_second(990, 0.0)
    assert growth.per_second(30, 2.0) == pytest.approx(20)


def test_a_number_that_fell_was_reset_and_tells_nothing() -> None:
    growth = Growth()
    growth.per_second(990, 0.0)
    assert growth.per_second(30, 1.0) is None
    assert growth.per_second(40, 2.0) == pytest.approx(10)


def test_what_could_not_be_read_tells_nothing() -> None:
    growth = Growth()
    growth.per_second(10, 0.0)
    assert growth.per_second(None, 1.0) is None
    assert growth.per_second(20, 2.0) is None


def test_no_time_no_rate() -> None:
    growth = Growth()
    growth.per_second(10, 1.0)
    assert growth.per_second(20, 1.0) is None


def test_a_share_is_between_nothing_and_all() -> None:
    assert (share(-0.01), share(0.5), share(1.02), share(None)) == (0.0, 0.5, 1.0, None)


LINUX = {"nice": 0.0, "irq": 0.0, "softirq": 5.0, "steal": 0.0, "guest": 900.0, "guest_nice": 0.0}


def counter(*moments):
    samples = iter([SimpleNamespace(**moment) for moment in moments])
    return CpuCounter(lambda: next(samples))


def test_waiting_for_the_disk_is_idle_and_guests_count_once() -> None:
    before = {**LINUX, "user": 100.0, "system": 50.0, "idle": 800.0, "iowait": 10.0}
    after = {**before, "user": 130.0, "idle": 808.0, "iowait": 12.0, "guest": 930.0}
    cpu = counter(before, after)
    assert cpu.read(0.0) is None
    assert cpu.read(1.0).busy_share == pytest.approx(0.75)


def test_windows_interrupts_are_in_system_already() -> None:
    before = {"user": 10.0, "system": 10.0, "idle": 30.0, "interrupt": 1.0, "dpc": 1.0}
    after = {"user": 20.0, "system": 15.0, "idle": 35.0, "interrupt": 4.0, "dpc": 2.0}
    cpu = counter(before, after)
    cpu.read(0.0)
    reading = cpu.read(1.0)
    assert (reading.kind, reading.name) == ("cpu", "CPU")
    assert reading.busy_share == pytest.approx(0.75)


def test_while_the_systems_clock_stands_still_there_is_no_reading() -> None:
    moment = {"user": 10.0, "system": 10.0, "idle": 30.0}
    cpu = counter(moment, moment)
    cpu.read(0.0)
    assert cpu.read(1.0) is None


def test_this_machines_processor_is_read() -> None:
    cpu = CpuCounter()
    cpu.read(0.0)
    assert sum(range(3_000_000))
    assert 0 <= cpu.read(1.0).busy_share <= 1
