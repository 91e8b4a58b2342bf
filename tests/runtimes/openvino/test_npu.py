"""The NPU's pipeline, emulated on the CPU: OpenVINO's own code but for the device."""

from __future__ import annotations

import contextlib
import threading

import pytest
from openvino_scorer import EXACT, Scorer
from reference import greedy

from aipc.errors import ArtifactError, DeviceError, EngineError, PromptTooLong, UsageError
from aipc.runtimes.base import Decoding, Engine, Generation
from aipc.runtimes.openvino.engine import OpenVINORuntime
from aipc.runtimes.openvino.npu import EMULATION, open_npu
from aipc.runtimes.openvino.static_shape import NpuOptions

EMULATED = {**EMULATION, **EXACT}
PROMPT = (72, 101, 108, 108, 111)
NOTHING: frozenset[int] = frozenset()
SMALL = NpuOptions(max_prompt_len=64, min_response_len=64)


@pytest.fixture(scope="module")
def artifact(tiny_artifact):
    return tiny_artifact("llama-gqa")[0]


@pytest.fixture(scope="module")
def engine(artifact):
    opened = open_npu(artifact, EMULATED, SMALL)
    yield opened
    opened.close()


def answer(engine, prompt=PROMPT, decoding=Decoding(12), stop_ids=NOTHING):  # noqa: B008 - frozen
    return list(engine.start(prompt, decoding, stop_ids))


def exact(artifact, prompt, count):
    """The answer of the bare graph, which other tests compare with the reference."""
    return Scorer(artifact).greedy(prompt, count)


def test_it_keeps_the_protocol(engine):
    typed: Engine = engine
    generation: Generation = typed.start(PROMPT, Decoding(2), NOTHING)
    assert len(list(generation)) == 2


@pytest.mark.parametrize(
    "name", ["phi3", "phi3-window", "phi3-longrope", "phi3-partial-tied", "mistral-window"]
)
def test_it_computes_the_reference(name, tiny_artifact):
    """Windows and rotary switches too, though the cache has room between its tokens."""
    folder, config, tensors = tiny_artifact(name)
    with contextlib.closing(open_npu(folder, EMULATED, SMALL)) as engine:
        for length in (6, 12, 13, 40):
            prompt = (PROMPT * 12)[:length]
            wanted = greedy(config, tensors, prompt, 16)
            assert answer(engine, prompt, Decoding(16)) == wanted, length


def test_a_prompt_computed_in_chunks_gives_the_same_answer(tiny_artifact):
    folder, *_ = tiny_artifact("phi3-window")
    properties = {**EMULATED, "NPUW_LLM_PREFILL_CHUNK_SIZE": "16"}
    with contextlib.closing(open_npu(folder, properties, SMALL)) as engine:
        for length in (15, 16, 17, 64):
            prompt = (PROMPT * 13)[:length]
            assert answer(engine, prompt) == exact(folder, prompt, 12), length


def test_greedy_answers_repeat_and_keep_to_the_limit(engine):
    first = answer(engine)
    assert len(first) == 12
    assert answer(engine) == first
    assert all(type(token) is int for token in first)
    assert answer(engine, decoding=Decoding(20))[:12] == first


def test_a_stop_id_is_the_last_token(engine):
    free = answer(engine)
    stop = free[4]
    stopped = answer(engine, stop_ids=frozenset({stop, 258}))
    assert stopped == free[: free.index(stop) + 1]


def test_every_sampling_option_is_honored(engine):
    def sample(**options):
        return answer(engine, decoding=Decoding(16, **options))

    hot = {"temperature": 1.5}
    assert sample(**hot, seed=7) == sample(**hot, seed=7)
    assert len({tuple(sample(**hot, seed=seed)) for seed in range(4)}) > 1
    assert sample(**hot, seed=7, top_k=1) == sample()
    assert sample(**hot, seed=7, top_p=0.001) == sample()
    assert sample(**hot, seed=7, min_p=1.0) == sample()
    assert len(set(sample(repetition_penalty=10.0))) == 16


def test_a_penalized_answer_grows_with_the_shape_and_is_one_at_a_time(artifact, monkeypatch):
    monkeypatch.setattr("aipc.runtimes.openvino.static_shape.SHORTEST", 64)
    penalized = Decoding(12, presence_penalty=1.0)
    with contextlib.closing(open_npu(artifact, EMULATED)) as engine:
        first = engine.start(PROMPT, penalized, NOTHING)
        shorter = [next(first)]
        with pytest.raises(EngineError, match="one request at a time"):
            engine.start(PROMPT, Decoding(5), NOTHING)
        shorter += first
        free = answer(engine)
        assert engine.facts["max_prompt_len"] == 64
        assert len(answer(engine, PROMPT * 14, penalized)) == 12
        assert engine.facts["max_prompt_len"] == 128
        assert answer(engine, decoding=penalized) == shorter
        assert answer(engine) == free
    with pytest.raises(EngineError, match="closed"):
        answer(engine, decoding=penalized)


def test_one_generation_at_a_time(engine):
    first = engine.start(PROMPT, Decoding(50), NOTHING)
    with pytest.raises(EngineError, match="one request at a time; wait for the first or cancel it"):
        engine.start(PROMPT, Decoding(5), NOTHING)
    first.cancel()
    assert len(answer(engine)) == 12
    assert list(first) == []


def test_a_generation_that_was_dropped_does_not_block_the_next(engine):
    alone = answer(engine)
    next(engine.start(PROMPT, Decoding(50), NOTHING))
    assert answer(engine) == alone


def test_it_is_free_once_the_last_token_has_come(engine):
    generation = engine.start(PROMPT, Decoding(3), NOTHING)
    assert [next(generation) for _ in range(3)] == answer(engine, decoding=Decoding(3))


def test_cancel_from_another_thread_ends_the_iteration(engine):
    generation = engine.start(PROMPT, Decoding(100), NOTHING)
    seen = [next(generation)]
    thread = threading.Thread(target=generation.cancel)
    thread.start()
    thread.join()
    seen += generation
    assert len(seen) <= 2
    generation.cancel()
    assert list(generation) == []


def test_an_empty_prompt_is_refused(engine):
    with pytest.raises(EngineError, match="no tokens"):
        answer(engine, prompt=())
    assert len(answer(engine)) == 12


def test_a_closed_engine_refuses(artifact):
    engine = open_npu(artifact, EMULATED, SMALL)
    running = engine.start(PROMPT, Decoding(60), NOTHING)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.start(PROMPT, Decoding(5), NOTHING)
    with pytest.raises(EngineError, match="closed"):
        list(running)
    assert list(running) == []


def test_facts_say_that_it_is_emulated(engine):
    assert engine.facts["device"] == engine.device == "NPU (emulated)"
    assert engine.facts["emulated"] is True
    assert engine.facts["properties"] == EMULATED
    assert (engine.facts["max_prompt_len"], engine.facts["min_response_len"]) == (64, 64)


@pytest.mark.parametrize("length", [63, 64])
def test_prompts_up_to_the_edge_of_a_fixed_shape(length, engine, artifact):
    prompt = (PROMPT * 13)[:length]
    assert answer(engine, prompt) == exact(artifact, prompt, 12)


@pytest.mark.parametrize("length", [65, 640])
def test_a_prompt_beyond_a_fixed_shape_is_refused_with_the_numbers(length, engine):
    least = {65: 128, 640: 640}[length]
    told = rf"has {length} tokens and the NPU takes at most 64; .*--max-prompt-len to {least}"
    with pytest.raises(PromptTooLong, match=told):
        answer(engine, (PROMPT * 130)[:length])
    assert len(answer(engine)) == 12


def test_an_answer_may_fill_a_fixed_shape_to_the_last_token(engine, artifact):
    """Past ``min_response_len`` too, where the prompt left room."""
    longest = 128 - len(PROMPT)
    assert answer(engine, decoding=Decoding(longest)) == exact(artifact, PROMPT, longest)
    with pytest.raises(PromptTooLong, match="need more than the 128"):
        answer(engine, decoding=Decoding(longest + 1))


def test_a_request_that_does_not_fit_gets_a_larger_shape(artifact, monkeypatch):
    monkeypatch.setattr("aipc.runtimes.openvino.static_shape.SHORTEST", 64)
    monkeypatch.setattr("aipc.runtimes.openvino.npu.read_context", lambda _: 1024)
    told = []
    with contextlib.closing(
        open_npu(artifact, EMULATED, progress=lambda what, done, total: told.append(what))
    ) as engine:
        shapes = []
        for length, count in ((63, 8), (64, 8), (65, 8), (128, 8), (129, 8), (5, 200), (640, 8)):
            prompt = (PROMPT * 130)[:length]
            got = answer(engine, prompt, Decoding(count))
            assert got == exact(artifact, prompt, count), length
            shapes.append((engine.facts["max_prompt_len"], engine.facts["min_response_len"]))
    small, middle, large = (64, 64), (128, 64), (256, 64)
    assert shapes == [small, small, middle, middle, large, large, (1024, 64)]
    assert [what.split(" up to ")[1] for what in told] == [
        "64 tokens", "128 tokens", "256 tokens", "1,024 tokens"
    ]  # fmt: skip


def test_the_rotary_switch_is_made_room_for_before_the_answer_begins(tiny_artifact, monkeypatch):
    monkeypatch.setattr("aipc.runtimes.openvino.static_shape.STEP", 4)
    monkeypatch.setattr("aipc.runtimes.openvino.static_shape.SHORTEST", 4)
    folder, *_ = tiny_artifact("phi3-longrope")
    shapes = []
    with contextlib.closing(open_npu(folder, EMULATED)) as engine:
        monkeypatch.setattr(engine, "_replace", shapes.append)
        for prompt, count in ((4, 9), (4, 10), (13, 3)):
            engine._fit(prompt, count)
    # 12 tokens are the short factors': the 13th of a sequence is the last that they compute.
    assert [shape.prompt for shape in shapes] == [4, 16, 16]


def test_long_rope_can_not_be_computed_in_chunks(tiny_artifact):
    with pytest.raises(UsageError, match="two sets of rotary factors"):
        open_npu(tiny_artifact("phi3-longrope")[0], EMULATED, NpuOptions(prefill_hint="dynamic"))


def test_hints_are_handed_to_openvino(artifact):
    options = NpuOptions(64, 64, prefill_hint="static", generate_hint="best-perf")
    with contextlib.closing(open_npu(artifact, EMULATED, options)) as engine:
        assert len(answer(engine)) == 12


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"MAX_PROMPT_LEN": "64"}, "sets MAX_PROMPT_LEN itself; give --max-prompt-len"),
        ({"BLOB_PATH": "x.blob"}, "sets BLOB_PATH itself; leave it out"),
        ({"INFERENCE_PRECISION": "f32"}, "did you mean INFERENCE_PRECISION_HINT"),
        ({"prompt_lookup": "YES"}, "the NPU has no prompt lookup"),
    ],
)
def test_a_property_that_can_not_be_meant_is_refused(properties, message, artifact):
    with pytest.raises(UsageError, match=message):
        open_npu(artifact, {**EMULATION, **properties})


def test_what_openvino_can_not_compile_is_one_line(artifact):
    with pytest.raises(EngineError, match="could not be compiled for the NPU") as caught:
        open_npu(artifact, {**EMULATION, "NPUW_DEVICES": "CPU", "NPUW_FOLD": "PERHAPS"}, SMALL)
    assert "\n" not in str(caught.value)


def test_without_an_npu_and_without_emulation_it_says_so(artifact):
    import openvino

    if "NPU" in openvino.Core().available_devices:
        pytest.skip("this machine has an NPU")
    with pytest.raises(DeviceError, match="no NPU"):
        open_npu(artifact, {})


def test_the_runtime_opens_it_by_its_kind(artifact, tmp_path):
    runtime = OpenVINORuntime()
    assert "npu" in runtime.kinds
    assert not runtime.capabilities("npu").concurrent
    assert runtime.capabilities("npu").logprobs
    assert not runtime.capabilities("npu").logits
    assert runtime.capabilities("npu").constraints == runtime.capabilities("cpu").constraints
    assert runtime.capabilities("npu").sampling == runtime.capabilities("cpu").sampling
    with contextlib.closing(runtime.open(artifact, "npu", EMULATED)) as engine:
        # The model's context is 128 tokens, so that the automatic shape is as small.
        assert engine.facts["max_prompt_len"] == 128
        assert len(answer(engine, decoding=Decoding(100))) == 100
    with pytest.raises(ArtifactError, match=r"no openvino_model\.xml"):
        runtime.open(tmp_path, "npu", EMULATED)


def test_it_gives_no_scores_of_a_whole_text(engine):
    with pytest.raises(DeviceError, match="last token alone"):
        engine.scores(PROMPT)
