"""Our configs against those of GenAI's model builder 0.18.0, our tokens against GenAI's.

``genai_configs/`` holds what ``python -m onnxruntime_genai.models.builder -p int4 -e …`` wrote.
"""

from __future__ import annotations

import json
from pathlib import Path

import networks
import onnxruntime_genai
import pytest
import tiny
from tokenizers import Tokenizer

from aipc.artifact.providers import GRAPH_FORMS
from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.onnx.genai_config import adapt_tokenizer, write_genai_config
from aipc.convert.recipe import Recipe

BUILDERS = Path(__file__).with_name("genai_configs")
TEXTS = [
    "<|im_start|>user\nName three  colors.<|im_end|>\n<|im_start|>assistant\n",
    "I'll say it's 12  34, we're done -- x = 1   2",
    "  1\n\n  a\t\tb  \n",
    "naïve café, été 1984; 你好 世界 12",
    "def f(x: int) -> list[str]:\n    return [f'{x}']\n",
]


def written(source, folder, provider="cpu"):
    with open_checkpoint(source) as checkpoint:
        checkpoint.write_text_files(folder)
        write_genai_config(folder, "model.onnx", read_network(checkpoint), GRAPH_FORMS[provider])
    return json.loads((folder / "genai_config.json").read_text())


@pytest.mark.parametrize("provider", GRAPH_FORMS)
def test_only_the_length_differs_from_the_builders(provider, smollm_gguf, tmp_path):
    ours = written(smollm_gguf, tmp_path, provider)
    theirs = json.loads((BUILDERS / f"{provider}.json").read_text())
    assert ours["search"].pop("max_length") == 4096
    assert theirs["search"].pop("max_length") == 8192
    ends = [set(config["model"].pop("eos_token_id")) for config in (ours, theirs)]
    assert ends[0] == ends[1] == {0, 2}
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "kind"), [("gpt_oss", "gptoss"), ("phimoe", "phimoe"), ("mixtral", "decoder")]
)
def test_mixtures_have_genais_own_names_or_none(name, kind, tmp_path):
    source = networks.Expected(name).write(tmp_path / "source")
    (tmp_path / "made").mkdir()
    assert written(source, tmp_path / "made")["model"]["type"] == kind


def test_a_small_context_and_the_models_own_sampling_are_kept(tmp_path):
    config = tiny.CONFIGS["mistral-window"]
    source = tiny.write_checkpoint(tmp_path / "source", config, tiny.random_tensors(config))
    stated = {
        "eos_token_id": [257, 259, 32000],
        "do_sample": True,
        "temperature": 0.6,
        "top_p": 0.9,
    }
    (source / "generation_config.json").write_text(json.dumps(stated))
    (tmp_path / "made").mkdir()
    content = written(source, tmp_path / "made")
    assert content["model"]["eos_token_id"] == [257, 259]
    assert content["model"]["type"] == "mistral"
    search = content["search"]
    assert (search["max_length"], search["temperature"], search["top_p"]) == (128, 0.6, 0.9)
    assert search["do_sample"] is True


def test_position_ids_are_named_where_the_graph_has_them(tiny_checkpoint, converted_to_onnx):
    """Rotary tables too narrow for the attention operator: the CPU's graph turns outside it."""
    folder, _, _ = tiny_checkpoint("phi3-partial-tied")
    artifact = converted_to_onnx(folder, Recipe("fp16"))
    inputs = json.loads((artifact / "genai_config.json").read_text())["model"]["decoder"]["inputs"]
    assert inputs["position_ids"] == "position_ids"


@pytest.fixture(scope="module")
def artifact(smollm_gguf, converted_to_onnx):
    return converted_to_onnx(smollm_gguf, Recipe("int4"))


def test_tokens_and_texts_are_those_of_the_checkpoints_tokenizer(artifact, smollm_gguf, tmp_path):
    with open_checkpoint(smollm_gguf) as checkpoint:
        checkpoint.write_text_files(tmp_path)
    own = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    adapted = Tokenizer.from_file(str(artifact / "tokenizer.json"))
    genai = onnxruntime_genai.Tokenizer(onnxruntime_genai.Model(str(artifact)))
    for text in TEXTS:
        wanted = own.encode(text).ids
        assert adapted.encode(text).ids == wanted
        assert genai.encode(text).tolist() == wanted
        assert genai.decode(wanted) == own.decode(wanted)


def test_any_other_tokenizer_stays_as_it_is(tmp_path):
    tiny.write_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    before = path.read_bytes()
    adapt_tokenizer(tmp_path)
    assert path.read_bytes() == before
    path.write_text(json.dumps({"model": {}, "pre_tokenizer": None}))
    adapt_tokenizer(tmp_path)
    assert json.loads(path.read_text()) == {"model": {}, "pre_tokenizer": None}
