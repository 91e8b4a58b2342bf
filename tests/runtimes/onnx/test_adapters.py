"""Adapters beside a graph that was made without: rows of several, and of none, in one call."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from aipc.artifact.providers import PROVIDERS
from aipc.errors import ArtifactError, UsageError
from aipc.runtimes.base import Constraint, Decoding
from aipc.runtimes.onnx.adapters import GraphAdapters
from aipc.runtimes.onnx.engine import ONNXEngine
from aipc.runtimes.onnx.folder import open_folder
from aipc.runtimes.onnx.provider import find_provider, read_properties
from aipc.runtimes.onnx.runtime import ONNXRuntime

pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")

PROMPT = [72, 101, 108, 108, 111, 32] * 4
NOTHING = frozenset()
MATRICES = {
    "block.0.query_key_value": (128, 64),
    "block.0.gate_up": (192, 64),
    "block.1.down": (64, 96),
    "head": (260, 64),
}


def factors(seed, matrices=MATRICES, rank=4):
    rng = np.random.default_rng(seed)

    def drawn(*shape):
        return (0.3 * rng.standard_normal(shape)).astype(np.float32)

    return {
        name: (drawn(rank, columns), drawn(rows, rank))
        for name, (rows, columns) in matrices.items()
    }


ADAPTERS = {
    "a": factors(1),
    "b": factors(2, rank=7),
    "head": factors(3, {"head": MATRICES["head"]}, rank=1),
}


@pytest.fixture(scope="module")
def folder(tiny_onnx):
    return tiny_onnx("llama-gqa")[0]


def open_batch(folder, adapters=None):
    return ONNXRuntime().open(folder, "cpu", {}, adapters)


def open_generators(folder, adapters=None):
    """The way of graphs whose rows can't be computed together."""
    cpu = find_provider("cpu")
    return ONNXEngine(open_folder(folder), cpu, "CPU", read_properties({}, cpu), {}, adapters)


@pytest.fixture(params=[open_batch, open_generators])
def way(request):
    return request.param


@pytest.fixture
def engine(way, folder):
    opened = way(folder, ADAPTERS)
    yield opened
    opened.close()


batch_alone = pytest.mark.parametrize("way", [open_batch], indirect=True)


@pytest.fixture
def calls(engine, monkeypatch):
    """The adapters of each call's rows."""
    seen = []
    decoder = engine._batch._decoder
    compute = decoder.compute

    def watched(cache, first, tokens, lengths, adapters):
        seen.append(tuple(adapters))
        return compute(cache, first, tokens, lengths, adapters)

    monkeypatch.setattr(decoder, "compute", watched)
    return seen


def start(engine, adapter="", prompt=PROMPT, count=12):
    return engine.start(prompt, Decoding(count, adapter=adapter), NOTHING)


def test_without_an_adapter_every_number_is_the_base_s(way, folder, engine):
    base = way(folder)
    expected = np.concatenate(list(base.scores(PROMPT)))
    base.close()
    assert np.array_equal(np.concatenate(list(engine.scores(PROMPT))), expected)


@batch_alone
def test_rows_of_all_adapters_and_none_share_a_call(engine, calls, monkeypatch):
    names = ["a", "", "b", "head", "a", "b", ""]
    alone = {name: list(start(engine, name)) for name in names}
    assert len(set(map(tuple, alone.values()))) == 4
    gate, step = threading.Event(), engine._batch._step
    monkeypatch.setattr(engine._batch, "_step", lambda: (gate.wait(), step()))
    calls.clear()
    running = [start(engine, name) for name in names]
    gate.set()
    for name, each in zip(names, running, strict=True):
        assert list(each) == alone[name]
    assert max(len(set(each)) for each in calls) >= 3


@batch_alone
def test_what_one_computed_serves_no_other(engine):
    again = len(PROMPT) - 1
    for name, cached in (("a", 0), ("a", again), ("b", 0), ("b", again), ("", 0), ("", again)):
        generation = start(engine, name)
        assert list(generation)
        assert generation.cached_tokens == cached, name


def test_requests_that_advance_in_turn_have_each_their_own(engine):
    names = ["a", "", "b", "head", "a"]
    alone = [list(start(engine, name)) for name in names]
    running = [start(engine, name) for name in names]
    assert [list(answer) for answer in zip(*zip(*running, strict=True), strict=True)] == alone


def test_a_constrained_answer(engine):
    """Of letters: the first that the adapter likes, not the base."""
    constraint = Constraint("regex", text="[a-z]{5}")

    def letters(adapter):
        decoding = Decoding(6, constraint=constraint, adapter=adapter)
        return list(engine.start(PROMPT, decoding, frozenset({257})))

    assert letters("a") == letters("a") != letters("")


def test_one_that_it_was_not_opened_with(engine):
    with pytest.raises(UsageError, match="called 'c' here; choose one of a, b, head"):
        start(engine, "c")


def test_of_the_factors_no_more_is_read_than_a_call_needs(folder):
    adapters = GraphAdapters(folder / "model.onnx", ADAPTERS)
    widths = {
        chosen: {name: len(array) for name, array in adapters.inputs(chosen).items()}
        for chosen in [("",), ("a",), ("b", ""), ("head", "head"), ("a", "head")]
    }
    assert [each["block.1.down.product.up"] for each in widths.values()] == [0, 4, 7, 0, 11]
    assert [each["logits.down"] for each in widths.values()] == [0, 4, 7, 1, 12]
    own = adapters.inputs(["a", "", "head"])
    shares = [array[:, 0].tolist() for name, array in own.items() if name.startswith("adapters.")]
    assert [[1] * 4 + [0] * 8, [0] * 12, [0] * 11 + [1]] in shares


def test_ranks_that_change_other_rows_alone_are_left_out(folder):
    """Gates and ups are products of their own, though one matrix has both."""
    down, up = factors(1)["block.0.gate_up"]
    up[:96, :2] = up[96:, 2:] = 0
    made = GraphAdapters(folder / "model.onnx", {"a": {"block.0.gate_up": (down, up)}})
    found = made.inputs(["a"])
    assert np.array_equal(found["block.0.gate_up.product.0.down"], down[2:])
    assert np.array_equal(found["block.0.gate_up.product.96.up"], up[96:, :2].T)


def test_a_graph_without_such_a_product(folder):
    with pytest.raises(ArtifactError, match=r"has no product by block\.7\.down that"):
        ONNXRuntime().open(folder, "cpu", {}, {"a": factors(1, {"block.7.down": (64, 96)})})


def test_where_it_takes_none(way, tiny_onnx):
    half = tiny_onnx("llama-gqa", "cuda")[0]
    with pytest.raises(UsageError, match="computes in fp16, and takes no adapters"):
        way(half, ADAPTERS)
    with pytest.raises(UsageError, match=r"'onnx' takes no adapters on this device.*; merge it"):
        ONNXRuntime().open(half, "cuda", {}, ADAPTERS)
    with pytest.raises(UsageError, match="the provider OpenVINO takes no adapters"):
        ONNXRuntime().open(half, "cpu", {"provider": "OpenVINO"}, ADAPTERS)


def test_the_cpu_alone_takes_them():
    kinds = {provider.kind for provider in PROVIDERS}
    assert [kind for kind in kinds if ONNXRuntime().capabilities(kind).adapters] == ["cpu"]
