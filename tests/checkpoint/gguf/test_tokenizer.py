from pathlib import Path

import numpy as np
import pytest

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
    with pytest.raises(CheckpointError, match="asks for a bos token and names none"):
        make(add_bos_token=True, bos_token_id=None)
