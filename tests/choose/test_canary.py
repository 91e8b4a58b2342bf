from __future__ import annotations

import json

import pytest

from aipc.choose.canary import TOKENS, Canary, CanaryResult, compare
from aipc.errors import DeviceError
from aipc.runtimes.base import Decoding
from aipc.runtimes.fake import FakeEngine

PROMPTS = [(1, 2, 3), (4, 5, 6, 7)]
IDENTITY = {"model": "abc", "device": "NPU", "driver": "1"}


class Counting(FakeEngine):
    """The next token is the number of those before it, so that it depends on all of them."""

    wrong_at: frozenset[int] = frozenset()

    def _drawn(self, request):
        at = len(request.prompt)
        while True:
            yield at + 100 if at in self.wrong_at else at
            at += 1


def wrong(*positions):
    engine = Counting(device="NPU")
    engine.wrong_at = frozenset(positions)
    return engine


@pytest.fixture
def references():
    return []


@pytest.fixture
def open_reference(references):
    def open_one():
        references.append(Counting())
        return references[-1]

    return open_one


def test_a_device_that_computes_the_same_agrees_on_every_token(open_reference, references):
    assert compare(Counting(), open_reference, PROMPTS) == CanaryResult(2 * TOKENS, 2 * TOKENS)
    assert references[0].closed


def test_one_token_that_falls_the_other_way_costs_one_token(open_reference):
    verdict = compare(wrong(5), open_reference, PROMPTS)
    assert verdict == CanaryResult(2 * TOKENS - 2, 2 * TOKENS)
    assert verdict.passed


@pytest.mark.parametrize(
    "engine",
    [
        FakeEngine(device="NPU"),
        FakeEngine(script=[0], device="NPU"),
        # The prompt's phase right, all that follows wrong: one network, two compiled models.
        wrong(*range(5, 20)),
    ],
    ids=["random", "stuck", "decoding"],
)
def test_nonsense_is_refused_and_asked_again(engine, open_reference, references, tmp_path):
    canary = Canary(tmp_path, IDENTITY)
    for _ in range(2):
        with pytest.raises(DeviceError, match="NPU computes this model wrongly: of 16 tokens"):
            canary.check(engine, open_reference, PROMPTS, [].append)
    assert len(references) == 2


def test_a_pass_is_kept_for_its_identity_alone(open_reference, references, tmp_path):
    told = []
    for _ in range(2):
        kept = Canary(tmp_path / "canary", IDENTITY)
        assert kept.check(Counting(device="NPU"), open_reference, PROMPTS, told.append).passed
    assert told == ["comparing NPU with the CPU (once for this model and driver)"]
    assert len(references) == 1
    for other in ({"driver": "2"}, {"model": "abd"}, {"openvino": "2026.5"}):
        Canary(tmp_path / "canary", IDENTITY | other).check(
            Counting(), open_reference, PROMPTS, told.append
        )
    assert len(references) == 4


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"identity": "another", "value": {"agreed": 16, "tokens": 16}}',
        '{"identity": ITS_OWN, "value": {"agreed": 16}}',
        '{"identity": ITS_OWN, "value": {"agreed": "16", "tokens": "16"}}',
        '{"identity": ITS_OWN, "value": {"agreed": 0, "tokens": 0}}',
        '{"identity": ITS_OWN, "value": {"agreed": 1, "tokens": 16}}',
    ],
)
def test_a_damaged_verdict_is_found_out_again(content, open_reference, references, tmp_path):
    Canary(tmp_path, IDENTITY).check(Counting(), open_reference, PROMPTS, [].append)
    (file,) = tmp_path.iterdir()
    own = json.dumps(json.loads(file.read_text())["identity"])
    file.write_text(content.replace("ITS_OWN", own))
    assert Canary(tmp_path, IDENTITY).check(Counting(), open_reference, PROMPTS, [].append).passed
    assert len(references) == 2


def test_the_device_is_asked_greedily(open_reference):
    engine = Counting()
    compare(engine, open_reference, PROMPTS)
    assert [request.decoding for request in engine.requests] == [Decoding(TOKENS)] * 2
