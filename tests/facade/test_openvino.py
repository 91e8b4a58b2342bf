from __future__ import annotations

import pytest

from aipc.convert.recipe import Recipe
from aipc.errors import UsageError
from aipc.facade import OVModelForCausalLM, openvino, pretrained


@pytest.fixture
def loaded(monkeypatch, fake_session):
    """What `aipc.load` is requested; a fake session is given."""
    asked = []

    def load(name, **options):
        asked.append((name, options))
        return fake_session()

    monkeypatch.setattr(pretrained, "load", load)
    monkeypatch.delenv("AIPC_DEVICE", raising=False)
    return asked


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs torch: pip install 'aipc[transformers]'")


def test_the_seeds_call(loaded, torch, tmp_path):
    import transformers

    (tmp_path / "openvino_model.xml").touch()
    config = transformers.Phi3Config()
    model = OVModelForCausalLM.from_pretrained(
        tmp_path,
        device="GPU.0",
        ov_config={"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "CACHE_DIR": ""},
        config=config,
        trust_remote_code=True,
    )
    assert isinstance(model, OVModelForCausalLM)
    assert model.config is config
    properties = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "CACHE_DIR": ""}
    asked = {"recipe": None, "device": "GPU.0", "properties": properties, "probe": False}
    assert loaded == [(str(tmp_path), asked)]


def test_a_checkpoint_is_converted_on_the_way(loaded, torch):
    OVModelForCausalLM.from_pretrained(
        "org/model", export=True, load_in_8bit=True, compile=True, revision="v2"
    )
    asked = {"recipe": Recipe("int8"), "device": "CPU", "properties": {}, "probe": False}
    assert loaded == [("org/model@v2", asked)]


def test_properties_may_be_numbers_and_flags():
    given = {"NUM_STREAMS": 2, "PERF_COUNT": True, "ENABLE_MMAP": False}
    wanted = {"NUM_STREAMS": "2", "PERF_COUNT": "YES", "ENABLE_MMAP": "NO"}
    assert openvino._properties(given) == wanted


class WeightQuantization:
    """As optimum-intel's OVWeightQuantizationConfig gives itself."""

    def to_dict(self):
        unused = {"dataset": None, "scale_estimation": None, "_dataset_kwargs": {}}
        return {"bits": 4, "sym": True, "group_size": 64, "ratio": 0.8, "dtype": "int4"} | unused


@pytest.mark.parametrize(
    ("given", "recipe"),
    [
        (WeightQuantization(), Recipe("int4", group_size=64, ratio=0.8, sym=True)),
        ({"bits": 4, "sym": False}, Recipe("int4", sym=False)),
        ({"bits": 8, "sym": False, "group_size": None, "ratio": 1.0}, Recipe("int8", sym=False)),
        ({}, Recipe("int8")),
    ],
)
def test_a_quantization_config_is_a_recipe(given, recipe):
    assert openvino._recipe(None, given) == recipe


def test_nothing_asked_is_left_to_aipc():
    assert openvino._recipe(None, None) is None


def test_not_in_8_bits_is_in_float16_unless_a_config_says_otherwise():
    assert openvino._recipe(False, None) == Recipe("fp16")
    assert openvino._recipe(False, {"bits": 4}) == Recipe("int4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantization_config": {"bits": 3}}, "3 bits"),
        ({"quantization_config": {"bits": 4, "dataset": "wikitext2"}}, "can't have dataset"),
        ({"quantization_config": {"bits": 4, "group_size": 7}}, "group-size"),
        ({"quantization_config": {}, "load_in_8bit": True}, "give one of them"),
        ({"compile": False}, "compile=False"),
        ({"stateful": False}, "stateful=False"),
        ({"use_cache": False}, "use_cache=False"),
        ({"devise": "CPU"}, "did you mean 'device'"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_is_loaded(options, message, loaded):
    with pytest.raises(UsageError, match=message):
        OVModelForCausalLM.from_pretrained("org/model", **options)
    assert loaded == []


def test_an_artifact_is_loaded_as_it_is(loaded, torch, tmp_path):
    (tmp_path / "openvino_model.xml").touch()
    OVModelForCausalLM.from_pretrained(tmp_path, load_in_8bit=False)
    assert loaded[0][1]["recipe"] is None


def test_an_artifact_keeps_its_weights(loaded, tmp_path):
    (tmp_path / "openvino_model.xml").touch()
    with pytest.raises(UsageError, match="converted already, and its weights stay"):
        OVModelForCausalLM.from_pretrained(tmp_path, load_in_8bit=True)
    assert loaded == []
