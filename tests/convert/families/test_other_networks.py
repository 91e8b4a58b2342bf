from pathlib import Path

import pytest

from aipc.convert.families.other_networks import _KINDS, refuse_other_tasks, unknown_network
from aipc.convert.families.table import FAMILIES
from aipc.errors import UnsupportedModel


@pytest.mark.parametrize(
    ("model_type", "what"),
    [
        ("deepseek_v3", "a mixture of experts"),
        ("qwen3_next", "a mixture of experts"),
        ("mamba2", "a recurrent network"),
        ("deberta-v2", "an encoder of a kind that is not built here"),
        ("t5", "an encoder with a decoder"),
        ("gpt2", "a decoder without rotary embeddings"),
    ],
)
def test_a_known_kind_says_what_it_is_and_what_to_take(model_type, what):
    refused = unknown_network(Path("model"), {"model_type": model_type}, ("llama", "phi3"))
    assert f"'{model_type}' is {what}" in refused.what
    assert refused.fix.endswith("known networks: llama, phi3")


def test_code_of_its_own_is_named_and_never_run():
    config = {"model_type": "new_thing", "auto_map": {"AutoModel": "modeling.Model"}}
    assert "code of its own, which is never run" in unknown_network(Path(), config, ()).what
    assert "auto_map" not in unknown_network(Path(), {"model_type": "x"}, ()).what


@pytest.mark.parametrize("config", [{}, {"model_type": None}])
def test_no_model_type(config):
    assert "its config.json has no model_type" in unknown_network(Path("m"), config, ()).what


@pytest.mark.parametrize(
    "name",
    [
        "LlamaForSequenceClassification",
        "Qwen2ForTokenClassification",
        "MistralForQuestionAnswering",
        "Qwen2ForRewardModel",
    ],
)
def test_a_known_network_made_for_something_else(name):
    with pytest.raises(UnsupportedModel, match=rf"'{name}', which writes no text; take the model"):
        refuse_other_tasks(Path("model"), {"architectures": [name]})


@pytest.mark.parametrize("stated", [None, [], ["LlamaForCausalLM"], ["LlamaModel"], "x", [3]])
def test_what_may_write_passes(stated):
    refuse_other_tasks(Path("model"), {"architectures": stated})


def test_no_network_is_listed_twice_or_both_known_and_not():
    listed = [model_type for kind in _KINDS for model_type in kind["types"]]
    assert len(set(listed)) == len(listed)
    assert not set(listed) & set(FAMILIES)
