"""Adapters that are not merged: chosen by each request, in one session."""

from __future__ import annotations

import threading

import lora
import networks
import numpy as np
import pytest
import tiny

import aipc
from aipc.convert.recipe import Recipe
from aipc.errors import AipcError, ArtifactError, CheckpointError, UsageError
from aipc.models.store import Store
from aipc.progress import unheard
from aipc.session.convert import convert

PROMPT = "a prompt that fills more than one block of the cache, so that one's could serve another"
GREEDY = {"max_new_tokens": 12, "temperature": 0.0, "ignore_eos": True, "raw": True}
RECIPES = {
    "fp16": Recipe(weight_format="fp16"),
    "int8": Recipe(weight_format="int8"),
    "int4": Recipe(weight_format="int4", group_size=32),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def base(home):
    return lora.write_base(home / "base", "all")


@pytest.fixture(scope="module")
def poet(home):
    """It changes every matrix of a block."""
    return lora.write_case(home / "poet", "all")


@pytest.fixture(scope="module")
def keys(home):
    """It changes the keys alone, which are the middle of a joint matrix, and the head."""
    rng, values = np.random.default_rng(5), {}
    for module in ("model.layers.1.self_attn.k_proj", "lm_head"):
        rows, columns = tiny.random_tensors(tiny.CONFIGS["llama-gqa"])[f"{module}.weight"].shape
        for part, shape in (("lora_A", (2, columns)), ("lora_B", (rows, 2))):
            name = f"base_model.model.{module}.{part}.weight"
            values[name] = rng.standard_normal(shape).astype(np.float32)
    stated = {"peft_type": "LORA", "r": 2, "lora_alpha": 1}
    return lora.write_adapter(home / "keys", stated, values)


@pytest.fixture(scope="module", params=["openvino", "onnx"])
def runtime(request):
    if request.param == "onnx":
        pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")
    return request.param


@pytest.fixture(scope="module")
def load(home, runtime):
    def loaded(name, recipe="fp16", **options):
        given = {"runtime": runtime, "device": "cpu", "exact": True} | options
        made = None if recipe is None else RECIPES[recipe]
        store = Store(home / "store")
        return aipc.load(str(name), recipe=made, store=store, notify=unheard, **given)

    return loaded


def ids(session, adapter="", **options):
    events = list(session.stream(PROMPT, adapter=adapter, **GREEDY, **options))
    return [token for event in events for token in getattr(event, "tokens", ())]


@pytest.fixture(scope="module")
def expected(base, poet, keys, load):
    """What the base answers, and what it does with each adapter merged."""
    found = {}
    for name, model in (("", base), ("poet", f"{base} + {poet}"), ("keys", f"{base} + {keys}:0.5")):
        with load(model) as session:
            found[name] = ids(session)
    assert len({tuple(one) for one in found.values()}) == 3
    return found


@pytest.fixture
def both(poet, keys):
    return {"poet": str(poet), "keys": f"{keys}:0.5"}


def test_the_answers_are_those_of_the_merged_models(base, load, both, expected):
    """The same prompt, so that a cache of another's would show."""
    with load(base, adapters=both) as session:
        for name in ("", "poet", "", "keys", "poet", "keys", ""):
            assert ids(session, name) == expected[name], name


def test_requests_at_once_have_each_their_own(base, load, both, expected):
    with load(base, adapters=both) as session:
        found = {}

        def ask(at, name):
            found[at] = ids(session, name) == expected[name]

        wanted = enumerate(["poet", "", "keys", "poet", "", "keys", "poet"])
        threads = [threading.Thread(target=ask, args=one) for one in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == dict.fromkeys(range(7), True)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("first", ["", "keys", "poet"])
def test_as_it_runs_by_itself_none_leaves_a_trace(recipe, first, base, load, both):
    """In bfloat16, a rank after another one computed no numbers."""
    with load(base, recipe, exact=False, adapters=both) as session:
        answers = {name: ids(session, name) for name in (first, "", "poet", "keys")}
        assert len({tuple(one) for one in answers.values()}) == 3
        for name in ("keys", "", "poet"):
            assert ids(session, name) == answers[name]
            assert set(answers[name]) != {0}


def test_an_artifact_with_an_adapter_beside_its_name(
    base, poet, keys, load, runtime, home, expected
):
    store = Store(home / "store")
    made = convert(str(base), RECIPES["fp16"], store=store, runtime=runtime, notify=unheard)
    with load(f"{made.path} + {poet}", recipe=None) as session:
        assert ids(session) == expected["poet"]
    with load(f"{made.path} + {poet} + {keys}:0", recipe=None) as session:
        assert ids(session) == expected["poet"]
        assert session.facts["adapters"] == [f"{poet} + {keys}:0"]


def test_fused_matrices(home, load):
    base, own = lora.write_base(home / "phi", "fused"), lora.write_case(home / "own", "fused")
    with load(f"{base} + {own}") as merged, load(base, adapters={"own": str(own)}) as session:
        assert ids(session, "own") == ids(merged)
        assert ids(session) != ids(merged)


FAMILIES = [
    *("gemma2", "gemma3", "granite", "olmo2", "phi4", "qwen3-window", "gpt_oss", "phimoe"),
    *("lfm2", "lfm2_moe", "qwen3_5", "qwen2_moe"),
]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_whose_projections_are_matrices(name, load, runtime, home):
    expected, rng, values = networks.Expected(name), np.random.default_rng(4), {}
    base = expected.write(home / f"{name}-{runtime}")
    for tensor, weights in expected.tensors().items():
        module = tensor.removesuffix(".weight")
        if module.endswith(("_proj", "lm_head")) and ".experts." not in module:
            for part, shape in (("A", (2, weights.shape[1])), ("B", (len(weights), 2))):
                drawn = 0.1 * rng.standard_normal(shape)
                values[f"base_model.model.{module}.lora_{part}.weight"] = drawn.astype(np.float32)
    stated = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    own = lora.write_adapter(home / f"{name}-{runtime}-lora", stated, values)
    if (runtime, name) == ("openvino", "gemma2"):
        with pytest.raises(UsageError, match="no adapters with this network's attention"):
            load(base, adapters={"own": str(own)})
        return
    with load(f"{base} + {own}") as merged, load(base, adapters={"own": str(own)}) as session:
        assert ids(session, "own") == ids(merged)
        assert ids(session) != ids(merged)


def test_a_tied_head(home, load):
    base = lora.write_base(home / "tied", "tied-embedding")
    rng = np.random.default_rng(2)
    values = {
        "base_model.model.lm_head.lora_A.weight": rng.standard_normal((2, 64)),
        "base_model.model.lm_head.lora_B.weight": rng.standard_normal((260, 2)),
    }
    values = {name: one.astype(np.float32) for name, one in values.items()}
    stated = {"peft_type": "LORA", "r": 2, "lora_alpha": 1}
    own = lora.write_adapter(home / "head", stated, values)
    with load(f"{base} + {own}") as merged, load(base, adapters={"own": str(own)}) as session:
        assert ids(session, "own") == ids(merged)
        assert ids(session) != ids(merged)


def test_an_unknown_one(base, load, both):
    with load(base, adapters=both) as session:
        with pytest.raises(UsageError, match="called 'x' here; choose one of poet, keys"):
            ids(session, "x")
        assert ids(session)
    with load(base) as session, pytest.raises(UsageError, match="load the model with it"):
        ids(session, "poet")


OPTIONS = [{"logit_bias": {"3": 1.0}}, {"presence_penalty": 1.0}, {"top_logprobs": 2}]


@pytest.mark.parametrize("runtime", ["openvino"], indirect=True)
@pytest.mark.parametrize("options", OPTIONS)
def test_what_can_not_be_had_with_an_adapter(options, base, load, both):
    with load(base, adapters=both) as session:
        with pytest.raises(UsageError, match=r"with an adapter; leave them out, or merge"):
            list(session.stream(PROMPT, adapter="poet", max_new_tokens=2, **options))
        assert list(session.stream(PROMPT, max_new_tokens=2, **options))


@pytest.mark.parametrize("runtime", ["onnx"], indirect=True)
def test_every_option_with_an_adapter(base, poet, load, both):
    options = {"logit_bias": {"3": 9.0}, "presence_penalty": 2.0, "top_logprobs": 2}
    with load(f"{base} + {poet}") as merged, load(base, adapters=both) as session:
        wanted = ids(merged, **options)
        assert ids(session, "poet", **options) == wanted != ids(merged)


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("dora", "is a DoRA, which no artifact takes while it runs; merge it: aipc convert"),
        ("whole", "has modules that were trained whole"),
        ("embedding", "changes the embedding"),
    ],
)
def test_what_has_to_be_merged(case, line, base, load, tmp_path):
    own = lora.write_case(tmp_path / "own", case)
    with pytest.raises(UsageError, match=line):
        load(base, adapters={"own": str(own)})


@pytest.mark.parametrize(
    "module", ["mlp.experts.1.gate_proj", "mlp.gate", "mlp.shared_expert_gate"]
)
def test_experts_and_routers_have_to_be_merged(module, load, home, tmp_path, runtime):
    base = networks.Expected("qwen2_moe").write(home / f"experts-{runtime}")
    rows = {"mlp.gate": 6, "mlp.shared_expert_gate": 1}.get(module, 32)
    name = f"base_model.model.model.layers.0.{module}"
    values = {
        f"{name}.lora_A.weight": np.ones((2, 64), np.float32),
        f"{name}.lora_B.weight": np.ones((rows, 2), np.float32),
    }
    stated = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    own = lora.write_adapter(tmp_path / "own", stated, values)
    with pytest.raises(UsageError, match="changes experts or what chooses them, which no artifact"):
        load(base, adapters={"own": str(own)})


def test_biases_have_to_be_merged(load, tmp_path):
    base = lora.write_base(tmp_path / "base", "lora-bias")
    own = lora.write_case(tmp_path / "own", "lora-bias")
    with pytest.raises(UsageError, match="has biases"):
        load(base, adapters={"own": str(own)})


def test_one_of_another_model(load, home, tmp_path):
    """Before the model is converted."""
    base = lora.write_base(tmp_path / "anew", "all")
    own = lora.write_case(tmp_path / "own", "fused")
    with pytest.raises(CheckpointError, match=r"is an adapter that changes model.layers.0.mlp"):
        load(base, adapters={"own": str(own)})
    assert not any(name.startswith("anew") for name in Store(home / "store").names(unfinished=True))


@pytest.mark.parametrize("runtime", ["openvino"], indirect=True)
def test_numbers_that_adapters_compute_wrongly_in(base, load, both):
    properties = {"INFERENCE_PRECISION_HINT": "bf16"}
    with pytest.raises(UsageError, match="INFERENCE_PRECISION_HINT=bf16 while they change"):
        load(base, adapters=both, properties=properties)


def test_a_vendors_artifact(base, load, runtime, both, home, tmp_path):
    ours, store = tmp_path / "ours", Store(home / "store")
    made = convert(str(base), RECIPES["fp16"], output=ours, store=store, runtime=runtime)
    (made.path / "aipc.json").unlink()
    with pytest.raises(ArtifactError, match="was not made by aipc, and takes no adapters here"):
        load(made.path, recipe=None, adapters=both)


@pytest.mark.parametrize("runtime", ["auto"], indirect=True)
def test_whichever_runtime_and_device_are_best_here(base, load, both):
    with load(base, device="auto", adapters=both) as session:
        assert session.facts["device"] == "CPU"
        assert len({tuple(ids(session, name)) for name in ("", "poet", "keys")}) == 3


@pytest.mark.parametrize("runtime", ["openvino"], indirect=True)
def test_a_device_that_takes_none(load, both, home, tmp_path):
    """Before the model is converted."""
    base = lora.write_base(tmp_path / "of-npu", "all")
    with pytest.raises(UsageError, match=r"takes no adapters on this device.*; merge it: aipc"):
        load(base, device="npu", emulate=True, recipe=None, exact=False, adapters=both)
    assert not any(
        name.startswith("of-npu") for name in Store(home / "store").names(unfinished=True)
    )


def test_no_folder(base, load):
    with pytest.raises(AipcError, match="no adapter is called 'none'"):
        load(base, adapters={"own": "none"})
