from __future__ import annotations

import dataclasses

import pytest

from aipc.choose import Artifact
from aipc.devices import Device
from aipc.errors import DeviceError, PromptTooLong, UsageError
from aipc.models.store import Store
from aipc.runtimes.base import Decoding
from aipc.runtimes.fake import FakeEngine, FakeRuntime
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.session import place as module
from aipc.session.place import Placement, SessionOptions

CPU = Device("CPU", "cpu", "A CPU", runtimes=("openvino",))
GPU = Device("GPU", "gpu", "A GPU", driver="1", runtimes=("openvino",))


class Machine(FakeRuntime):
    """A runtime whose GPU computes as the CPU does, or is ``gpu``."""

    gpu = None

    def open(self, artifact, device, properties):
        engine = (device == "GPU" and self.gpu) or FakeEngine((5,), device=device.upper())
        self.engines.append(engine)
        return engine


@pytest.fixture
def runtime(monkeypatch):
    machine = Machine(kinds=frozenset({"cpu", "gpu"}))
    monkeypatch.setattr(module.RUNTIMES.__class__, "get", lambda self, name: machine)
    return machine


@pytest.fixture
def place(tmp_path, runtime):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "openvino_model.xml").write_text("<net/>")
    (folder / "openvino_model.bin").write_bytes(b"weights")
    artifact = Artifact(folder, "openvino", "int4", {})
    told = []

    def make(devices=(CPU, GPU), **wanted):
        made = Placement(
            artifact,
            SessionOptions(**wanted),
            devices,
            Store(tmp_path),
            lambda *_: None,
            told.append,
        )
        made.told = told
        return made

    return make


def encode(text):
    return list(text.encode())


def test_what_was_asked_and_what_came_of_it_is_told(place):
    facts = place(device="gpu").facts
    assert facts["asked"] == {"device": "gpu", "runtime": "auto"}
    assert facts["device_name"] == "A GPU"
    assert facts["why"][0] == "GPU: requested"


def test_the_cpu_needs_no_judge(place, runtime):
    placed = place(device="cpu")
    placed.check(placed.open(), encode)
    assert len(runtime.engines) == 1
    assert placed.told == []


def test_an_accelerator_is_judged_once(place, runtime):
    for expected in (2, 3):  # engine and reference, then the engine alone
        placed = place(device="gpu")
        placed.check(placed.open(), encode)
        assert len(runtime.engines) == expected
    assert [line for line in placed.told if "once for this model" in line] == placed.told[:1]
    updated = dataclasses.replace(GPU, driver="2")
    placed = place((CPU, updated), device="gpu")
    placed.check(placed.open(), encode)
    assert len(runtime.engines) == 5


def test_a_device_that_computes_nonsense_is_refused_unless_trusted(place, runtime):
    runtime.gpu = FakeEngine((7, 7, 7), device="GPU")
    placed = place(device="gpu")
    with pytest.raises(DeviceError, match=r"GPU computes this model wrongly.*--no-canary"):
        placed.check(placed.open(), encode)
    trusted = place(device="gpu", canary=False)
    trusted.check(trusted.open(), encode)


class Short(FakeEngine):
    def start(self, prompt, decoding, stop_ids):
        if len(prompt) > 4:
            raise PromptTooLong("the prompt's 5 tokens are too many")
        return super().start(prompt, decoding, stop_ids)


def test_a_prompt_too_long_is_refused_where_no_overflow_is_allowed(place, runtime):
    runtime.gpu = Short()
    with pytest.raises(PromptTooLong):
        place(device="gpu").open().start(range(5), Decoding(3), frozenset())


def test_overflow_goes_where_it_may_and_says_so(place, runtime):
    runtime.gpu = Short()
    placed = place(device="gpu", overflow="cpu")
    engine = placed.open()
    assert len(list(engine.start(range(5), Decoding(3), frozenset()))) == 3
    assert placed.told == ["the prompt's 5 tokens are too many: answering on CPU"]


def test_what_only_the_npu_heeds_is_said_to_be_idle_where_auto_takes_another(place):
    placed = place(device="auto", npu=NpuOptions(max_prompt_len=2048))
    placed.open()
    assert placed.told == ["--max-prompt-len is for the NPU: no effect on GPU"]


def test_all_that_is_idle_is_said_in_one_line(place):
    placed = place(devices=(CPU,), npu=NpuOptions(prefill_hint="static"), overflow="cpu")
    placed.open()
    assert placed.told == ["--prefill-hint, --overflow are for the NPU: no effect on CPU"]


def test_nothing_is_said_of_options_that_nobody_gave(place):
    placed = place(device="auto")
    placed.open()
    assert placed.told == []


def test_overflow_to_nowhere_is_refused():
    with pytest.raises(UsageError, match="no overflow to 'moon'"):
        SessionOptions(overflow="moon")


@pytest.mark.parametrize("canary", [True, False])
def test_a_device_in_quarantine_is_passed_over_and_refused_by_name(place, runtime, canary):
    seen = place(device="gpu")
    check = seen.live_check("a model")
    check._on_wrong("5 nats short")
    assert seen.told == [f"{seen._quarantine.find().words}; it is not used for this model any more"]
    freely = place(canary=canary)
    assert freely.plan.device == ("CPU" if canary else "GPU")
    assert any("GPU computes a model wrongly" in why for why in freely.facts["why"]) == canary
    asked = place(device="gpu", canary=canary)
    if canary:
        with pytest.raises(DeviceError, match="GPU computes a model wrongly: 5 nats short"):
            asked.check(asked.open(), encode)
    else:
        asked.check(asked.open(), encode)
    place(devices=(CPU, dataclasses.replace(GPU, driver="2")), device="gpu")._quarantine.check()


def test_only_an_accelerator_is_watched_and_not_where_that_is_not_wanted(place):
    assert place(device="cpu").live_check("a model") is None
    assert place(device="gpu", watch=False).live_check("a model") is None
    assert place(device="gpu").live_check("a model") is not None
