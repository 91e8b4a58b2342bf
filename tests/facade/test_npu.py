from __future__ import annotations

import sys

import pytest

from aipc.convert.recipe import Recipe
from aipc.errors import DeviceError, UsageError
from aipc.facade import NPUModelForCausalLM, compile, int4, int8, npu, pretrained  # noqa: A004
from aipc.facade.dtypes import CompilerConfig

INT4 = CompilerConfig(dtype=int4)


@pytest.fixture
def loaded(monkeypatch, fake_session):
    """What `aipc.load` is requested, and closed sessions: a fake one is given."""
    asked = []

    def load(name, **options):
        session = fake_session()
        asked.append((name, options, session))
        return session

    monkeypatch.setattr(pretrained, "load", load)
    monkeypatch.delenv("AIPC_DEVICE", raising=False)
    return asked


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "openvino_model.xml").touch()
    return str(folder)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs torch: pip install 'aipc[transformers]'")


def test_the_seeds_call_asks_for_symmetric_int4_on_the_npu(loaded, torch):
    model = NPUModelForCausalLM.from_pretrained(
        "org/model", use_cache=True, config=INT4, attn_implementation="sdpa"
    ).eval()
    assert isinstance(model, NPUModelForCausalLM)
    ((name, options, _),) = loaded
    assert name == "org/model"
    assert options == {"recipe": Recipe("int4", group_size=128, sym=True), "device": "npu"}


def test_the_older_way_to_say_a_dtype(loaded, torch):
    NPUModelForCausalLM.from_pretrained("org/model", dtype=int8, revision="v2", emulate=True)
    ((name, options, _),) = loaded
    assert name == "org/model@v2"
    assert options == {"recipe": Recipe("int8"), "device": "npu", "emulate": True}


@pytest.mark.parametrize("config", [INT4, int4])
def test_compile_is_from_pretrained_in_short(config, loaded, torch):
    compile("org/model", config)
    assert loaded[0][1] == {"recipe": int4.recipe, "device": "npu"}


def test_an_artifact_is_loaded_as_it_is(loaded, torch, artifact):
    NPUModelForCausalLM.from_pretrained(artifact, config=INT4)
    assert loaded[0][1] == {"recipe": None, "device": "npu"}


def test_an_artifact_of_other_weights_is_refused_and_closed(loaded, torch, artifact):
    with pytest.raises(UsageError, match="holds int4 weights, and int8 is requested"):
        NPUModelForCausalLM.from_pretrained(artifact, config=CompilerConfig(dtype=int8))
    assert loaded[0][2]._engine.closed


def test_an_artifact_that_does_not_say_is_believed():
    npu._check_weights("vendor", None, int8)


def test_without_an_npu_the_error_names_the_ways_on(monkeypatch, torch):
    def load(name, **options):
        raise DeviceError("this machine has no NPU", "ask for cpu")

    monkeypatch.setattr(pretrained, "load", load)
    monkeypatch.delenv("AIPC_DEVICE", raising=False)
    with pytest.raises(DeviceError, match="no NPU; ask for cpu; AIPC_DEVICE=cpu runs"):
        NPUModelForCausalLM.from_pretrained("org/model", config=INT4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": int4}, r"config is a NPUDtype; give CompilerConfig"),
        ({"config": INT4, "dtype": int4}, "both config and dtype"),
        ({"dtype": "int3"}, "can't be stored as int3"),
        ({"use_cache": False}, "use_cache=False"),
        ({"export": False}, "export=False"),
        ({"device_map": "auto"}, "does not take 'device_map' here; say device='npu'"),
        ({"transformers_class": object}, "does not take 'transformers_class'"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_is_loaded(options, message, loaded):
    with pytest.raises(UsageError, match=message):
        NPUModelForCausalLM.from_pretrained("org/model", **options)
    assert loaded == []


def test_a_torch_module_is_no_name(loaded):
    with pytest.raises(UsageError, match="object is no name"):
        compile(object(), INT4)
    assert loaded == []


def test_without_torch_the_error_names_the_extra(monkeypatch, loaded):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DeviceError, match=r'`pip install "torch>=2.6" "transformers<6,>=5.0"`'):
        NPUModelForCausalLM.from_pretrained("org/model", config=INT4)
    assert loaded == []
