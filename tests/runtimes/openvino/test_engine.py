"""What is OpenVINO's own: devices, properties, the rotary switch, vendors' errors."""

from __future__ import annotations

import pytest
from openvino_scorer import EXACT
from reference import greedy

from aipc.errors import AipcError, ArtifactError, DeviceError, EngineError, UsageError
from aipc.runtimes.base import Decoding
from aipc.runtimes.openvino.engine import OpenVINORuntime

PROMPT = [72, 101, 108, 108, 111, 32]


@pytest.mark.parametrize("name", ["phi3", "phi3-window", "phi3-longrope", "phi3-partial-tied"])
def test_paged_attention_computes_the_reference(name, tiny_artifact):
    """Windows and rotary switches too, with prompts before and generation beyond them."""
    folder, config, tensors = tiny_artifact(name)
    engine = OpenVINORuntime().open(folder, "cpu", EXACT)
    for length in (6, 11, 12, 13, 20):
        prompt = (PROMPT * 4)[:length]
        answer = list(engine.start(prompt, Decoding(24), frozenset()))
        assert answer == greedy(config, tensors, prompt, 24), length
    engine.close()


def test_a_chat_continues_from_its_cached_history(tiny_artifact):
    folder, config, tensors = tiny_artifact("phi3")
    engine = OpenVINORuntime().open(folder, "cpu", EXACT)
    history = PROMPT * 8
    first = list(engine.start(history, Decoding(8), frozenset()))
    second = [*history, *first, 33, 34]
    assert list(engine.start(second, Decoding(8), frozenset())) == greedy(
        config, tensors, second, 8
    )
    engine.close()


def test_a_device_that_is_not_there_is_named_with_those_that_are(tiny_artifact):
    import openvino

    if "NPU" in openvino.Core().available_devices:
        pytest.skip("this machine has an NPU")
    with pytest.raises(DeviceError, match=r"no NPU .* only CPU"):
        OpenVINORuntime().open(tiny_artifact("phi3")[0], "npu", {})


@pytest.mark.parametrize(
    ("properties", "error", "message"),
    [
        ({"INFERENCE_PRECISION": "f32"}, UsageError, "did you mean INFERENCE_PRECISION_HINT"),
        ({"FULL_DEVICE_NAME": "x"}, UsageError, "no property FULL_DEVICE_NAME"),
        ({"INFERENCE_PRECISION_HINT": "fast"}, AipcError, "fast"),
    ],
)
def test_a_property_that_can_not_be_meant_is_refused(properties, error, message, tiny_artifact):
    with pytest.raises(error, match=message):
        OpenVINORuntime().open(tiny_artifact("phi3")[0], "cpu", properties)


def test_the_seeds_properties_are_taken(tiny_artifact):
    properties = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "CACHE_DIR": ""}
    engine = OpenVINORuntime().open(tiny_artifact("phi3")[0], "cpu", properties)
    assert len(list(engine.start(PROMPT, Decoding(3), frozenset()))) == 3
    assert engine.facts["properties"] == properties
    engine.close()


def test_a_folder_without_a_model_is_no_artifact(tmp_path):
    with pytest.raises(ArtifactError, match=r"no openvino_model\.xml"):
        OpenVINORuntime().open(tmp_path, "cpu", {})


def test_a_damaged_model_is_one_line(tiny_artifact, tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net")
    (tmp_path / "openvino_model.bin").write_bytes(b"")
    with pytest.raises(EngineError, match="could not be loaded on CPU") as caught:
        OpenVINORuntime().open(tmp_path, "cpu", {})
    assert "\n" not in str(caught.value)


def test_a_closed_engine_refuses(tiny_artifact):
    engine = OpenVINORuntime().open(tiny_artifact("phi3")[0], "cpu", {})
    running = engine.start(PROMPT, Decoding(5), frozenset())
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.start(PROMPT, Decoding(5), frozenset())
    with pytest.raises(EngineError, match="closed"):
        list(running)
