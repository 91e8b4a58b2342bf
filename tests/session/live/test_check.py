"""Answers of an accelerator, judged while nobody asks: by a planted judge, and by the real one."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import fake_session
import pytest

import aipc
from aipc.devices.quarantine import list_quarantined
from aipc.errors import DeviceError, EngineBroken
from aipc.runtimes.base import Constraint, Decoding
from aipc.session.live import check as module
from aipc.session.live.check import JudgedDevice, LiveCheck

PLANTED = Path(fake_session.__file__).with_name("planted_judge.py")
PROMPT, TOKENS = (1, 2, 3), tuple(range(40))


@pytest.fixture
def made(tmp_path):
    """A check whose judge says what it is told to; what it found; what was asked of it."""
    checks = []

    def make(verdict, **more):
        mark, found = tmp_path / "mark", []
        command = (sys.executable, str(PLANTED), verdict, str(mark))
        about = JudgedDevice(str(tmp_path), "fake", "NPU", "1", 0, command)
        options = {"share": 1000.0, "idle_s": 0.1, **more}
        check = LiveCheck(about, found.append, **options)
        checks.append(check)
        return check, found, lambda: len(mark.read_text()) if mark.exists() else 0

    yield make
    for check in checks:
        check.close()


def answer(check):
    check.begin()
    check.offer(PROMPT, TOKENS, Decoding(40))
    check.end()


def until(condition, limit_s=30):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_sound_device_goes_on(made):
    check, found, asked = made("sound")
    for number in (1, 2):
        answer(check)
        until(lambda number=number: check.facts["judged"] == number)
    assert check.facts == {"judged": 2, "shortfall": 0.01, "wrong": None}
    assert (found, asked()) == ([], 2)


def test_a_device_that_drifts_answers_no_more(made):
    check, found, _ = made("wrong")
    answer(check)
    until(lambda: check.facts["wrong"])
    assert found == [check.facts["wrong"]]
    with pytest.raises(EngineBroken, match=r"3\.0 nats a token less likely"):
        check.begin()


def test_another_driver_has_to_be_proven_anew(made):
    check, found, _ = made("another driver")
    answer(check)
    until(lambda: check.facts["wrong"])
    assert found == []  # the new one is not known to be wrong
    with pytest.raises(EngineBroken, match="driver was 1 and is 2"):
        check.begin()


def test_who_asks_does_not_wait_for_the_judge(made):
    check, _, asked = made("slow")
    answer(check)
    until(asked)
    started = time.monotonic()
    check.begin()
    assert time.monotonic() - started < 1
    check.end()
    assert check.facts["judged"] == 0


def test_a_judge_that_crashes_says_nothing(made):
    check, found, asked = made("crash")
    answer(check)
    until(asked)
    check.begin()
    check.end()
    assert (check.facts["wrong"], found) == (None, [])


@pytest.mark.parametrize("why", ["share", "battery", "memory"])
def test_it_waits_for_its_share_for_the_plug_and_for_room(made, monkeypatch, why):
    if why == "battery":
        monkeypatch.setattr(module, "is_on_battery", lambda: True)
    if why == "memory":
        monkeypatch.setattr(module, "_TIMES_WEIGHTS", -float("inf"))
    nothing = {"share": 0.01} if why == "share" else {}
    check, _, asked = made("sound", **nothing)
    if why == "memory":
        monkeypatch.setattr(check, "_is_at_rest", lambda: False)
    answer(check)
    time.sleep(1.0)
    assert asked() == 0


def test_only_what_its_scores_alone_explain_is_kept(made):
    check, *_ = made("sound")
    assert check.wants(PROMPT, Decoding(9, temperature=0.8, top_p=0.9, repetition_penalty=1.1))
    assert not check.wants(PROMPT, Decoding(9, logit_bias=((1, 2.0),)))
    assert not check.wants(PROMPT, Decoding(9, adapter="own"))
    assert not check.wants(PROMPT, Decoding(9, constraint=Constraint("regex", "a")))
    assert not check.wants([1] * 5000, Decoding(9))
    check.offer(PROMPT, TOKENS[:4], Decoding(40))
    assert check._sample is None


class Drifting:
    """The real engine, whose tokens are others than it chose."""

    def __init__(self, engine):
        self._engine = engine
        self.device, self.facts, self.close = engine.device, engine.facts, engine.close

    def start(self, prompt, decoding, stop_ids):
        return DriftingGeneration(self._engine.start(prompt, decoding, frozenset()))


class DriftingGeneration:
    logprobs = top_logprobs = ()
    cached_tokens = 0

    def __init__(self, generation):
        self._generation, self.cancel = generation, generation.cancel

    def __iter__(self):
        return self

    def __next__(self):
        return (next(self._generation) + 977) % 40_000


@pytest.mark.parametrize("is_wrong", [pytest.param(False, marks=pytest.mark.long), True])
def test_the_emulated_npu_by_the_real_judge(small_store, smollm_gguf, monkeypatch, is_wrong):
    """Sound, it goes on; where it drifts it is quarantined, in this session and the next."""
    quarantine = small_store.quarantine
    monkeypatch.setattr(module, "SHARE", 1000.0)
    monkeypatch.setattr(LiveCheck.__init__, "__kwdefaults__", {"share": 1000.0, "idle_s": 0.2})
    options = {"device": "npu", "emulate": True, "store": small_store, "notify": print}
    try:
        with aipc.load("smollm2-135m", **options) as session:
            if is_wrong:
                observed = session._engine
                observed._engine = Drifting(observed._engine)
            asked = {"temperature": 0.8, "ignore_eos": True, "max_new_tokens": 40}
            session.generate("Tell me about the sea.", **asked)
            until(lambda: session.facts["live_check"]["judged"] == 1, 120)
            found = session.facts["live_check"]
            assert bool(found["wrong"]) == is_wrong, found
            if is_wrong:
                with pytest.raises(EngineBroken, match="not used any more"):
                    session.generate("And again.", max_new_tokens=4)
        if is_wrong:
            assert [one.device for one in list_quarantined(quarantine)] == ["NPU"]
            with pytest.raises(DeviceError, match="computes smollm2-135m wrongly"):
                aipc.load("smollm2-135m", **options)
            aipc.load("smollm2-135m", canary=False, **options).close()
    finally:
        for file in quarantine.glob("*.json"):
            file.unlink()
