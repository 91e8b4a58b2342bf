"""The search on a bench of stated speeds and a clock of its own: the same every time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from aipc.choose.measured import Work
from aipc.choose.runtime_device import runtime_devices
from aipc.devices import Device
from aipc.errors import EngineError, MeasurementError
from aipc.measure.tune import verdict
from aipc.measure.tune.participants import SetupRun
from aipc.measure.tune.search import FINALISTS, ROUNDS, SetupSearch
from aipc.measure.tune.verdict import NO_TIME, Terms

CPU = Device("CPU", "cpu", "A CPU", precisions=("fp32", "bf16"), runtimes=("openvino",))
BOTH = Device("CPU", "cpu", "A CPU", precisions=("fp32", "bf16"), runtimes=("openvino", "onnx"))
GROUP = "DYNAMIC_QUANTIZATION_GROUP_SIZE"
HINT = "INFERENCE_PRECISION_HINT"
WORK = Work("plain", 64, 32)
LOAD_S, COLD_S, CONVERSION_S = 2.0, 1.0, 10.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@dataclass
class Loaded:
    bench: Bench
    setup: object
    load_s: float = LOAD_S
    cold_s: float = COLD_S

    @property
    def nbytes(self):
        return self.bench.sizes.get(self.setup.weights, 1000)

    def run(self, tokens):
        self.bench.ran.append(self.setup)
        token_s = self.bench.speed(self.setup)
        if isinstance(token_s, Exception):
            raise token_s
        self.bench.clock.now += 0.1 + tokens * token_s
        return SetupRun(0.1, token_s, 1 / token_s, None)

    def close(self):
        self.bench.loaded.remove(self)


@dataclass
class Bench:
    """``speed`` tells the seconds a token of a setup, or what it fails with."""

    speed: object
    clock: Clock = field(default_factory=Clock)
    sizes: dict = field(default_factory=dict)
    kls: dict = field(default_factory=dict)
    kl_s: float = 0.0
    room: int = 99
    converted: set = field(default_factory=lambda: {"int4-g128-sym"})
    loaded: list = field(default_factory=list)
    ran: list = field(default_factory=list)
    most: int = 0

    def objection(self, setup):
        return "too large" if setup.weights == "fp16" else ""

    def has_room(self, setup):
        return len(self.loaded) < self.room

    def cost(self, setup):
        return 0.0 if setup.weights in self.converted else CONVERSION_S

    def open(self, setup):
        self.clock.now += LOAD_S + COLD_S + self.cost(setup)
        self.converted.add(setup.weights)
        one = Loaded(self, setup)
        self.loaded.append(one)
        self.most = max(self.most, len(self.loaded))
        return one

    def kl(self, setup):
        self.clock.now += self.kl_s
        return self.kls.get(setup.weights, 0.1)


def search(bench, devices=(CPU,), budget=10_000.0, goal="latency", work=WORK, max_kl=None, **asked):
    terms = Terms(goal, work, budget, max_kl)
    told = []
    found = SetupSearch(terms, bench, told.append, bench.clock).run(
        runtime_devices(devices, **asked)
    )
    assert bench.loaded == []
    return found, told


def by(**speeds):
    """Seconds a token by weights; ``f32`` is a factor for that hint."""
    factor = speeds.pop("f32", 1.0)

    def speed(setup):
        weights = setup.weights.replace("-", "_")
        own = speeds.get(weights, speeds.get("rest", 0.1))
        return own * (factor if setup.properties.get(HINT) == "f32" else 1.0)

    return speed


def test_the_fastest_properties_and_weights_are_found_together():
    found, _ = search(Bench(by(int8_sym=0.04, rest=0.1, f32=2.0)))
    assert found.choice.setup.weights == "int8-sym"
    assert HINT not in found.choice.setup.properties
    assert found.choice.figures.runs == ROUNDS
    assert found.gain == pytest.approx((0.1 + 31 * 0.2) / (0.1 + 31 * 0.04))
    assert "5.0" in found.verdict or "4.7" in found.verdict
    assert found.default.setup.properties[HINT] == "f32"


def test_a_gain_within_the_noise_changes_nothing():
    found, _ = search(Bench(by(rest=0.1, f32=1.02)))
    assert found.choice == found.default
    assert found.gain == 1.0
    assert (
        found.verdict
        == "the default choice: nothing else was 3% better in every round, or much in most"
    )


def test_one_disturbed_run_neither_chooses_nor_ends_anyone():
    runs = {}

    def speed(setup):
        count = runs[str(setup)] = runs.get(str(setup), 0) + 1
        fast = setup.properties == {}
        if fast and count == 1:
            return 0.5  # the machine was busy elsewhere
        return 0.05 if fast else 0.1

    found, _ = search(Bench(speed))
    assert found.choice.setup.properties == {}


@pytest.mark.parametrize(
    ("gains", "is_better"),
    [
        ([1.04, 1.05, 1.1], True),
        ([1.02, 1.2, 1.2], False),
        ([0.9, 1.6, 1.9], True),
        ([0.9, 1.0, 3.0], False),
    ],
)
def test_one_disturbed_round_hides_no_large_gain_and_makes_none(gains, is_better):
    assert verdict._is_better(gains) == is_better


def test_clearly_slower_ones_are_not_run_to_the_end():
    bench = Bench(by(int4_g128_sym=0.1, rest=0.3))
    found, told = search(bench)
    slow = [one for one in found.trials if one.setup.weights == "int8-sym"]
    assert [one.figures.runs for one in slow] == [2]  # two probes
    assert any(line.endswith("; dropped") for line in told)
    whole = [one for one in found.trials if one.figures.runs == ROUNDS]
    assert 1 < len(whole) <= FINALISTS + 1


def test_a_place_that_is_hopeless_has_no_weights_converted_for_it():
    def speed(setup):
        return 0.5 if setup.runtime == "onnx" else 0.1

    found, _ = search(Bench(speed), (BOTH,))
    tried = [one.setup for one in found.trials if one.setup.runtime == "onnx"]
    assert len(tried) == 1


def test_the_budget_holds_and_what_it_left_out_is_told():
    bench = Bench(by(rest=0.1))
    found, _ = search(bench, budget=80.0)
    assert bench.clock.now <= 80.0
    late = {one.setup.weights for one in found.skipped if one.why == NO_TIME}
    assert "int8-sym" in late
    assert late.isdisjoint(one.setup.weights for one in found.trials)


def test_the_default_choice_is_measured_whatever_the_budget():
    found, _ = search(Bench(by(rest=0.1)), budget=1.0)
    assert found.choice == found.default
    assert found.choice.figures.runs == 1
    assert found.verdict.endswith("nothing else was compared with it to the end")
    assert len(found.trials) == 1


def test_one_that_fails_is_told_and_the_others_go_on():
    def speed(setup):
        if setup.properties.get(GROUP) == "0":
            return EngineError("no such kernel")
        return 0.1

    found, told = search(Bench(speed))
    assert [one.why for one in found.skipped if one.setup.properties.get(GROUP) == "0"] == [
        "no such kernel"
    ]
    assert any("no such kernel" in line for line in told)


def test_nothing_measurable_is_an_error():
    with pytest.raises(MeasurementError, match="nothing could be measured: broken"):
        search(Bench(lambda setup: EngineError("broken")))


def test_without_room_one_is_loaded_at_a_time():
    bench = Bench(by(rest=0.1), room=1)
    search(bench)
    assert bench.most == 1


def test_what_does_not_fit_is_not_tried():
    found, _ = search(Bench(by(rest=0.1)))
    assert [one.why for one in found.skipped if one.setup.weights == "fp16"] == ["too large"]


def test_coarser_weights_are_tried_only_under_a_bound_of_divergence():
    speeds = by(int4_row_sym=0.05, rest=0.1)
    found, _ = search(Bench(speeds))
    assert "int4-row-sym" not in {one.setup.weights for one in found.trials}
    found, _ = search(Bench(speeds, kls={"int4-row-sym": 0.8}), max_kl=1.0)
    assert (found.choice.setup.weights, found.choice.figures.kl) == ("int4-row-sym", 0.8)
    found, _ = search(Bench(speeds, kls={"int4-row-sym": 0.8}), max_kl=0.5)
    assert found.choice.setup.weights != "int4-row-sym"
    assert any("0.8000 is above --max-kl 0.5" in one.why for one in found.skipped)


def test_a_bound_that_nothing_keeps_is_an_error():
    with pytest.raises(MeasurementError, match=r"within --max-kl 0\.01"):
        search(Bench(by(rest=0.1)), max_kl=0.01)


def test_quality_is_the_least_divergence_at_about_the_defaults_speed():
    kls = {"int4-g128-sym": 0.3, "int4-g128-sym-gptq": 0.05, "int8-sym": 0.01}
    bench = Bench(by(int8_sym=0.2, rest=0.1), kls={**kls, "int4-g64-sym": 0.2})
    found, _ = search(bench, goal="quality")
    assert found.choice.setup.weights == "int4-g128-sym-gptq"
    assert found.gain == pytest.approx(6.0)


def test_divergence_is_measured_within_the_budget_too():
    bench = Bench(by(rest=0.1), kl_s=400.0)
    found, _ = search(bench, goal="quality", budget=1000.0)
    assert bench.clock.now <= 1000.0
    assert found.default.figures.kl == 0.1
    measured = [one for one in found.trials if one.figures.kl is not None]
    assert 1 <= len(measured) < len(found.trials)


def test_throughput_counts_all_answers_together():
    found, _ = search(Bench(by(int8_sym=0.05, rest=0.1)), goal="throughput", work=WORK)
    assert found.choice.setup.weights == "int8-sym"


def test_prompt_lookup_is_tried_where_answers_copy():
    def speed(setup):
        return 0.05 if "prompt_lookup" in setup.properties else 0.1

    plain, _ = search(Bench(speed))
    assert plain.choice == plain.default
    copying, _ = search(Bench(speed), work=Work("copy", 64, 32))
    assert copying.choice.setup.properties["prompt_lookup"] == "YES"
    assert copying.choice.setup.properties[HINT] == "f32"


def test_the_frontier_has_what_nothing_beats_in_time_and_size():
    bench = Bench(by(int4_g128_sym=0.1, int8_sym=0.05, rest=0.2))
    bench.sizes = {"int4-g128-sym": 500, "int8-sym": 1000}
    found, _ = search(bench)
    assert {one.setup.weights for one in found.trials if one.frontier} == {
        "int4-g128-sym",
        "int8-sym",
    }


def test_an_interruption_unloads_everything():
    def speed(setup):
        if setup.properties == {}:
            raise KeyboardInterrupt
        return 0.1

    bench = Bench(speed)
    with pytest.raises(KeyboardInterrupt):
        search(bench)
    assert bench.loaded == []
