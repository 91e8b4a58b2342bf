from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.chat_templates import read_chat_templates
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.tokenizer import make_tokenizer
from aipc.checkpoint.gguf.vocabulary import read_vocabulary
from aipc.errors import CheckpointError, UnsupportedModel

TOKENS = ["<unk>", "<s>", "</s>", "<|user|>", "<tool>", "<|endoftext|>", "a", "b", "▁", "Ġ", "Ċ"]
KINDS = [2, 3, 3, 3, 4, 3, 1, 1, 1, 1, 1]


def make(architecture="llama", model="gpt2", **changes):
    values = {
        "model": model,
        "pre": "smollm",
        "tokens": TOKENS,
        "token_type": np.array(KINDS),
        "scores": np.zeros(len(TOKENS)),
        "merges": [],
        "bos_token_id": 1,
        "eos_token_id": 2,
        **changes,
    }
    named = {f"tokenizer.ggml.{k}": v for k, v in values.items() if v is not None}
    metadata = Metadata(Path("m.gguf"), {"general.architecture": architecture, **named})
    return make_tokenizer(metadata, read_vocabulary(metadata))


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_marked_tokens_are_found_whole(model):
    tokenizer = make(model=model, add_bos_token=False, add_space_prefix=False)
    assert tokenizer.encode("<|user|>ab<tool></s>").tokens == [
        "<|user|>",
        "a",
        "b",
        "<tool>",
        "</s>",
    ]


def test_control_tokens_are_no_text_and_user_defined_ones_are():
    tokenizer = make()
    ids = tokenizer.encode("<|user|>a<tool>").ids
    assert tokenizer.decode(ids) == "a<tool>"
    assert tokenizer.decode(ids, skip_special_tokens=False) == "<|user|>a<tool>"


@pytest.mark.parametrize(
    ("changes", "tokens"),
    [
        ({}, ["a"]),
        ({"add_bos_token": True}, ["<s>", "a"]),
        ({"add_eos_token": True}, ["a", "</s>"]),
        ({"add_bos_token": True, "add_eos_token": True}, ["<s>", "a", "</s>"]),
        ({"pre": "llama-bpe"}, ["<s>", "a"]),
        ({"pre": "llama-bpe", "add_bos_token": False}, ["a"]),
        ({"model": "llama", "add_space_prefix": False}, ["<s>", "a"]),
    ],
)
def test_texts_are_framed_as_the_file_asks(changes, tokens):
    tokenizer = make(**changes)
    assert tokenizer.encode("a").tokens == tokens
    assert tokenizer.encode("a", add_special_tokens=False).tokens == ["a"]


def test_pairs_are_framed_twice():
    tokenizer = make(add_bos_token=True, add_eos_token=True)
    assert tokenizer.encode("a", "b").tokens == ["<s>", "a", "</s>", "<s>", "b", "</s>"]


def test_phi3_drops_white_space_after_its_control_tokens():
    text = "<|user|>\n a<|endoftext|> b"
    flags = {"add_bos_token": False, "add_space_prefix": False}
    phi3 = make("phi3", "llama", **flags).encode(text).ids
    assert [TOKENS[i] for i in phi3] == ["<|user|>", "a", "<|endoftext|>", "▁", "b"]
    llama = make("llama", "llama", **flags).encode(text).ids
    assert [TOKENS[i] for i in llama][:4] == ["<|user|>", "<unk>", "▁", "a"]
    phi4 = make("phi3", "gpt2").encode(text).tokens
    assert phi4 == ["<|user|>", "Ċ", "Ġ", "a", "<|endoftext|>", "Ġ", "b"]


def test_a_kind_of_tokenizer_that_is_unknown_is_named():
    with pytest.raises(UnsupportedModel, match="unknown kind 'rwkv'; known: gpt2, llama"):
        make(model="rwkv")


def test_a_file_that_asks_for_a_token_it_does_not_name():
    with pytest.raises(CheckpointError, match="adds a bos token and names none"):
        make(add_bos_token=True, bos_token_id=None)


CHAT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>"
VARIED = ["Ünïcödé 日本 🙂  12\n", "a  1", "x\t\n 3.14  ", "it's 'll", "1\n\n  2", "٣ ½"]
IDS = [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2]


@pytest.fixture(scope="module")
def texts(smollm_gguf, tmp_path_factory):
    """The text files made from the real small model."""
    folder = tmp_path_factory.mktemp("texts") / "made"
    open_checkpoint(smollm_gguf).write_text_files(folder)
    return folder


def test_writes_what_a_repository_has(texts):
    assert {path.name for path in texts.iterdir()} == {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }


def test_stops_at_the_end_of_a_turn(texts):
    stated = json.loads((texts / "generation_config.json").read_text())
    assert stated == {"bos_token_id": 1, "pad_token_id": 2, "eos_token_id": [2, 0]}


def test_names_the_special_tokens(texts):
    stated = json.loads((texts / "tokenizer_config.json").read_text())
    template = stated.pop("chat_template")
    assert template == (texts / "chat_template.jinja").read_text()
    assert "<|im_start|>" in template
    assert stated == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 8192,
    }


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (CHAT, IDS),
        ("Hello world! 123", [19556, 905, 17, 216, 33, 34, 35]),
        ("Café déjà vu.", [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30]),
        ("  multiple   spaces", [216, 2701, 256, 5600]),
    ],
)
def test_the_tokenizer_gives_the_real_models_ids(texts, text, ids):
    """Ids as SmolLM2's own tokenizer gives them."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(texts / "tokenizer.json"))
    assert tokenizer.encode(text).ids == ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_the_tokenizer_converts_to_openvino(texts):
    import openvino
    from openvino_tokenizers import convert_tokenizer
    from transformers import PreTrainedTokenizerFast

    loaded = PreTrainedTokenizerFast(tokenizer_file=str(texts / "tokenizer.json"))
    assert loaded(CHAT)["input_ids"] == IDS
    encode, decode = (
        openvino.compile_model(model, "CPU")
        for model in convert_tokenizer(loaded, with_detokenizer=True)
    )
    assert encode([CHAT])["input_ids"].tolist() == [IDS]
    for text in VARIED:
        ids = encode([text])["input_ids"]
        assert ids[0].tolist() == loaded(text)["input_ids"]
        assert decode(ids)["string_output"].tolist() == [text]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (
            {"temp": 0.7, "top_k": 64, "top_p": 0.95, "min_p": 0.0},
            {"do_sample": True, "temperature": 0.7, "top_k": 64, "top_p": 0.95, "min_p": 0.0},
        ),
        ({"temp": 0.0, "top_k": 1}, {"do_sample": False, "temperature": 0.0, "top_k": 1}),
        ({"top_p": 0.5}, {"do_sample": True, "top_p": 0.5}),
        ({"penalty_repeat": 1.1}, {"repetition_penalty": 1.1}),
        ({"mirostat": 2, "penalty_last_n": 64}, {}),
        ({"temp": -1.0}, {"do_sample": False, "temperature": 0.0}),
        ({"top_k": -1, "min_p": -0.1}, {"do_sample": True, "top_k": 0, "min_p": 0.0}),
    ],
)
def test_recommended_sampling_is_written_as_transformers_names_it(
    make_gguf, tmp_path, stated, expected
):
    changes = {f"general__sampling__{name}": value for name, value in stated.items()}
    open_checkpoint(make_gguf(**changes)).write_text_files(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert {name: written[name] for name in written if not name.endswith("_id")} == expected


def test_recommended_sampling_that_no_sampler_can_take_is_damage(make_gguf, tmp_path):
    checkpoint = open_checkpoint(make_gguf(general__sampling__top_p=-1.0))
    with pytest.raises(CheckpointError, match=r"general\.sampling\.top_p.* is -1\.0"):
        checkpoint.write_text_files(tmp_path / "out")


def test_a_template_for_tools_is_written_beside_the_default_one(make_gguf, tmp_path):
    changes = {"tokenizer__chat_template": "plain", "tokenizer__chat_template__tool_use": "tools"}
    open_checkpoint(make_gguf(**changes)).write_text_files(tmp_path / "out")
    assert read_chat_templates(tmp_path / "out") == {"default": "plain", "tool_use": "tools"}


def test_a_model_without_a_template_or_special_tokens(make_gguf, tmp_path):
    changes = {f"tokenizer__ggml__{name}_token_id": None for name in ("bos", "eos")}
    open_checkpoint(make_gguf(**changes)).write_text_files(tmp_path / "out")
    assert not (tmp_path / "out" / "chat_template.jinja").exists()
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text()) == {}
    assert "bos_token" not in json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
