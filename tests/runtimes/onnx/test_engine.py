"""What is ONNX Runtime's own: the cache that is kept, the rotary switch, vendors' errors."""

from __future__ import annotations

import dataclasses
import json
import threading
from types import SimpleNamespace

import networks
import pytest
from reference import greedy

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.errors import AipcError, ArtifactError, DeviceError, EngineError, UsageError
from aipc.runtimes.base import Decoding
from aipc.runtimes.onnx import engine as adapter
from aipc.runtimes.onnx import runtime
from aipc.runtimes.onnx.batch_engine import BatchEngine
from aipc.runtimes.onnx.engine import ONNXEngine, read_placement
from aipc.runtimes.onnx.folder import open_folder
from aipc.runtimes.onnx.provider import find_provider, read_properties
from aipc.runtimes.onnx.runtime import ONNXRuntime

og = pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")

PROMPT = [72, 101, 108, 108, 111, 32]
NOTHING = frozenset()


def answer(engine, prompt, count=8, stop_ids=NOTHING, **decoding):
    return list(engine.start(prompt, Decoding(count, **decoding), stop_ids))


def open_batch(folder, properties):
    return ONNXRuntime().open(folder, "cpu", properties)


def open_generators(folder, properties):
    """The accelerators' way, on the CPU."""
    cpu = find_provider("cpu")
    settings = read_properties(properties, cpu)
    return ONNXEngine(open_folder(folder), cpu, "CPU", settings, properties)


@pytest.fixture(params=[open_batch, open_generators])
def opened(request, tiny_onnx):
    """Open a tiny network: (engine, config, tensors)."""
    engines = []

    def open_(name, target="cpu", properties=None):
        folder, config, tensors = tiny_onnx(name, target)
        engines.append(request.param(folder, properties or {}))
        return engines[-1], config, tensors

    yield open_
    for engine in engines:
        engine.close()


generators_alone = pytest.mark.parametrize("opened", [open_generators], indirect=True)


@pytest.mark.parametrize("name", ["phi3", "phi3-window", "phi3-longrope", "phi3-partial-tied"])
def test_generation_computes_the_reference(name, opened):
    """Windows and rotary switches too, with prompts before and generation beyond them."""
    engine, config, tensors = opened(name)
    for length in (6, 11, 12, 13, 20):
        prompt = (PROMPT * 4)[:length]
        assert answer(engine, prompt, 24) == greedy(config, tensors, prompt, 24), length


@pytest.mark.parametrize("name", ["llama-gqa", "phi3-longrope"])
def test_every_turn_of_a_chat_is_the_reference(name, opened):
    """Through the kept cache, over the rotary switch, and back before it."""
    engine, config, tensors = opened(name)
    turns = [PROMPT]
    for addition in ([33, 34], [35], [36, 37, 38] * 5):
        turns.append([*turns[-1], *greedy(config, tensors, turns[-1], 4), *addition])
    for prompt in [*turns, *reversed(turns), turns[-1][:3] + turns[0]]:
        assert answer(engine, prompt, 4) == greedy(config, tensors, prompt, 4), len(prompt)


@generators_alone
def test_the_history_of_a_chat_is_computed_once(opened, monkeypatch):
    engine, _, _ = opened("llama-gqa")
    computed = []
    whole = adapter.CachedSequence._compute
    monkeypatch.setattr(
        adapter.CachedSequence,
        "_compute",
        lambda self, tokens: (computed.append(len(tokens)), whole(self, tokens)),
    )
    prompt = PROMPT * 4
    for expected in ([24], [24 + 8 + 2], [2 + 1], [2 + 1]):
        # the second turn outgrows the room of the first; the third finds twice what it needs
        computed.clear()
        prompt = [*prompt, *answer(engine, prompt, 8), 33, 34]
        assert computed[:1] == expected
        assert sum(computed) == expected[0] + 7


def test_a_sampled_answer_does_not_depend_on_what_the_cache_holds(opened):
    engine, _, _ = opened("llama-gqa")
    sampled = {"temperature": 1.2, "top_k": 50, "top_p": 0.95, "seed": 5}
    first = answer(engine, PROMPT, 12, **sampled)
    again = answer(engine, PROMPT, 12, **sampled)
    answer(engine, [1, 2, 3])
    assert first == again == answer(engine, PROMPT, 12, **sampled)
    assert first != answer(engine, PROMPT, 12, **{**sampled, "seed": 6})


def test_the_models_own_end_is_no_end_unless_asked_for(opened):
    engine, config, tensors = opened("llama-gqa")
    prompt = next([p, 7] for p in range(250) if 257 in greedy(config, tensors, [p, 7], 20))
    free = answer(engine, prompt, 24)
    assert 257 in free[:-1]
    assert len(free) == 24
    stopped = answer(engine, prompt, 24, frozenset({257}))
    assert stopped == free[: free.index(257) + 1]


def test_repetition_penalty_also_counts_the_prompt(opened):
    engine, _, _ = opened("llama-gqa")
    banned = answer(engine, PROMPT, 30, repetition_penalty=10.0)
    assert len(set(banned)) > len(set(answer(engine, PROMPT, 30)))


@pytest.mark.parametrize("target", ["cuda", "directml", "webgpu"])
def test_the_cpu_computes_what_is_made_for_others(target, opened):
    """Their graphs are checked so far without their devices: float16, so ties may fall apart."""
    engine, config, tensors = opened("llama-gqa", target)
    assert answer(engine, PROMPT, 6)[:3] == greedy(config, tensors, PROMPT, 3)
    assert engine.facts["provider"] == "CPU"


@pytest.fixture
def no_appending(monkeypatch):
    """DirectML's way, on the CPU."""

    def change(engine):
        provider = dataclasses.replace(find_provider("cpu"), continues=False)
        monkeypatch.setattr(engine._pool, "_provider", provider)

    return change


@generators_alone
def test_a_provider_that_can_not_append_is_told_each_token(opened, no_appending):
    engine, config, tensors = opened("llama-gqa")
    no_appending(engine)
    assert answer(engine, PROMPT, 12) == greedy(config, tensors, PROMPT, 12)
    sampled = {"temperature": 1.2, "seed": 5}
    assert answer(engine, PROMPT, 12, **sampled) == answer(engine, PROMPT, 12, **sampled)


@generators_alone
def test_a_provider_that_can_not_append_can_not_go_past_the_models_own_end(opened, no_appending):
    engine, config, tensors = opened("llama-gqa")
    prompt = next([p, 7] for p in range(250) if 257 in greedy(config, tensors, [p, 7], 20))
    no_appending(engine)
    assert answer(engine, prompt, 24, frozenset({257}))[-1] == 257
    with pytest.raises(EngineError, match="end every answer at token 257"):
        answer(engine, prompt, 24)


@generators_alone
def test_a_prompt_under_way_is_cancelled_between_its_pieces(opened, monkeypatch):
    engine, _, _ = opened("llama-gqa")
    generation = engine.start(PROMPT * 20, Decoding(4), NOTHING)
    whole = adapter.CachedSequence._compute
    pieces = []

    def compute(self, tokens):
        pieces.append(len(tokens))
        threading.Thread(target=generation.cancel).start()
        while not generation._cancelled.is_set():
            pass
        whole(self, tokens)

    monkeypatch.setattr(adapter.CachedSequence, "_compute", compute)
    assert list(generation) == []
    assert pieces == [60]  # 120 tokens in even pieces of at most 64


def test_a_request_beyond_the_context_is_refused(opened):
    engine, _, _ = opened("llama-gqa")
    with pytest.raises(EngineError, match="need 129 tokens and the model's context holds 128"):
        answer(engine, PROMPT, 123)
    assert len(answer(engine, PROMPT, 122)) == 122


@pytest.mark.parametrize("token", [-1, 260, 2**40])
def test_a_token_that_the_model_has_not_is_refused(token, opened):
    engine, _, _ = opened("llama-gqa")
    with pytest.raises(EngineError, match=f"has the token {token} and the model knows 0 to 259"):
        answer(engine, [5, token, 7])


def test_a_failing_step_is_one_line_and_the_end(opened, monkeypatch, capfd):
    engine, config, tensors = opened("llama-gqa")
    lenient = dataclasses.replace(engine._folder, vocabulary=10**9)
    monkeypatch.setattr(engine, "_folder", lenient)
    generation = engine.start([5, 10**6], Decoding(5), NOTHING)
    with pytest.raises(EngineError, match=r"while generating: .*out of data bounds") as caught:
        next(generation)
    assert "\n" not in str(caught.value)
    assert list(generation) == []
    assert capfd.readouterr() == ("", "")
    assert answer(engine, PROMPT) == greedy(config, tensors, PROMPT, 8)


def test_a_request_beyond_the_memory_is_refused_before_it_is_taken(opened, monkeypatch):
    engine, _, _ = opened("llama-gqa")
    pool = engine._batch._pool if isinstance(engine, BatchEngine) else engine._pool
    monkeypatch.setattr(pool, "_available", lambda: 20_000)
    # 2 layers x 2 heads x 16 numbers x 4 bytes, keys and values; scores of 6 tokens of 260
    with pytest.raises(EngineError, match=r"^a sequence of 106 tokens needs 0\.0 GiB .*0 KiB a"):
        answer(engine, PROMPT, 100)
    assert len(answer(engine, PROMPT[:1], 20)) == 20


def test_a_folder_that_the_vendor_refuses_is_one_line(tiny_onnx):
    folder, _, _ = tiny_onnx("llama-gqa")
    config = json.loads((folder / "genai_config.json").read_text())
    config["model"]["type"] = "no-such-network"
    (folder / "genai_config.json").write_text(json.dumps(config))
    with pytest.raises(
        EngineError, match=r"could not be loaded on CPU: .*no-such-network"
    ) as caught:
        open_generators(folder, {})
    assert "\n" not in str(caught.value)


def test_a_closed_engine_refuses_and_ends_what_runs(opened):
    engine, _, _ = opened("llama-gqa")
    running = engine.start(PROMPT, Decoding(50), NOTHING)
    next(running)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.start(PROMPT, Decoding(5), NOTHING)
    assert list(running) == []


@pytest.mark.parametrize(
    ("device", "properties", "error", "message"),
    [
        ("npu", {}, DeviceError, "has no device 'npu'; use cpu, cuda, directml, webgpu"),
        ("cpu", {"provider": "cuda"}, UsageError, "no provider 'cuda' computes on cpu"),
        ("cpu", {"intra_op_threads": "2"}, UsageError, "did you mean intra_op_num_threads"),
        ("cpu", {"graph_optimization_level": "fast"}, AipcError, "fast"),
    ],
)
def test_what_can_not_be_meant_is_refused(device, properties, error, message, tiny_onnx):
    with pytest.raises(error, match=message):
        ONNXRuntime().open(tiny_onnx("llama-gqa")[0], device, properties)


def test_properties_reach_the_session(opened):
    properties = {"intra_op_num_threads": "1", "session.intra_op.allow_spinning": "0"}
    engine, config, tensors = opened("phi3", properties=properties)
    assert engine.facts["properties"] == properties
    assert answer(engine, PROMPT) == greedy(config, tensors, PROMPT, 8)


@pytest.mark.parametrize(
    ("device_type", "placement"),
    [("CPU", {"CUDAExecutionProvider": 9}), ("CUDA", {"CPUExecutionProvider": 9})],
)
def test_a_model_that_computes_elsewhere_is_no_silent_run(
    device_type, placement, tiny_onnx, monkeypatch
):
    loaded = SimpleNamespace(device_type=device_type)
    monkeypatch.setattr(runtime, "check_installed", lambda provider: None)
    monkeypatch.setattr(
        runtime, "find_device", lambda provider, device: Device("CUDA", "cuda", "RTX")
    )
    monkeypatch.setattr(adapter, "_load", lambda *args: loaded)
    monkeypatch.setattr(adapter, "read_placement", lambda model: placement)
    with pytest.raises(DeviceError, match="CUDA was requested and ONNX Runtime took CPU"):
        ONNXRuntime().open(tiny_onnx("llama-gqa", "cuda")[0], "cuda", {})


@pytest.mark.parametrize(("facts", "piece"), [({}, 256), ({"type": "software"}, 31)])
def test_a_software_device_computes_prompts_in_pieces_that_its_kernels_get_right(
    facts, piece, tiny_onnx, monkeypatch
):
    device = Device("WEBGPU", "webgpu", "a GPU", facts=facts)
    monkeypatch.setattr(runtime, "check_installed", lambda provider: None)
    monkeypatch.setattr(runtime, "find_device", lambda provider, name: device)
    monkeypatch.setattr(runtime, "ONNXEngine", lambda folder, provider, *rest: provider)
    opened = ONNXRuntime().open(tiny_onnx("llama-gqa", "webgpu")[0], "webgpu", {})
    assert (opened.name, opened.piece) == ("WebGPU", piece)


@pytest.mark.parametrize(("name", "piece"), [("qwen3_moe", 128), ("qwen3-window", 64)])
def test_a_mixture_s_prompts_are_computed_in_larger_pieces(name, piece, tmp_path, monkeypatch):
    source = networks.Expected(name).write(tmp_path / "checkpoint")
    folder = tmp_path / "artifact"
    folder.mkdir()
    with open_checkpoint(source) as checkpoint:
        plan_onnx(checkpoint, Recipe("int8", quantizer="rtn")).write(folder)
    monkeypatch.setattr(runtime, "BatchEngine", lambda folder, graph, provider, *rest: provider)
    monkeypatch.setattr(runtime, "ONNXEngine", lambda folder, provider, *rest: provider)
    assert ONNXRuntime().open(folder, "cpu", {}).piece == piece


def test_an_artifact_for_another_provider_is_refused(tiny_onnx, monkeypatch):
    monkeypatch.setattr(runtime, "check_installed", lambda provider: None)
    message = "made for the provider cuda, not DML; convert the model with --for directml"
    with pytest.raises(ArtifactError, match=message):
        ONNXRuntime().open(tiny_onnx("llama-gqa", "cuda")[0], "directml", {})


def test_a_folder_without_a_model_is_no_artifact(tmp_path):
    with pytest.raises(ArtifactError, match=r"no genai_config\.json; convert it with --runtime"):
        ONNXRuntime().open(tmp_path, "cpu", {})


def test_every_node_of_the_loaded_session_is_counted(tiny_onnx):
    folder, config, _ = tiny_onnx("llama-gqa")
    model = og.Model(og.Config(str(folder)))
    placement = read_placement(model)
    assert set(placement) == {"CPUExecutionProvider"}
    assert placement["CPUExecutionProvider"] > 4 * config["num_hidden_layers"]
