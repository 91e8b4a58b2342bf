from pathlib import Path

import numpy as np
import pytest

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.vocabulary import (
    CONTROL,
    NORMAL,
    Vocabulary,
    read_vocabulary,
    scores,
    special_token,
    stop_ids,
)
from aipc.errors import CheckpointError

SIGNALLING = np.array([0, 0x7F800001], np.uint32).view(np.float32)


def metadata(**values):
    named = {f"tokenizer.ggml.{name}": value for name, value in values.items()}
    return Metadata(Path("m.gguf"), {"general.architecture": "llama", **named})


def test_tokens_have_ids_and_kinds():
    found = read_vocabulary(metadata(tokens=["<s>", "a", "b"], token_type=np.array([3, 1, 1])))
    assert found.ids == {"<s>": 0, "a": 1, "b": 2}
    assert found.of_kind(CONTROL) == ["<s>"]
    assert found.of_kind(NORMAL) == ["a", "b"]


def test_without_kinds_all_tokens_are_normal():
    assert read_vocabulary(metadata(tokens=["a", "b"])).kinds == [NORMAL, NORMAL]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "lacks 'tokenizer.ggml.tokens'"),
        ({"tokens": []}, "0 tokens"),
        ({"tokens": ["a", "b"], "token_type": np.array([1])}, "2 tokens with 1 token types"),
        ({"tokens": ["a", "b", "a"]}, "is in its vocabulary twice"),
        ({"tokens": ["a", "b" * 1001]}, "beyond any tokenizer's size"),
    ],
)
def test_a_vocabulary_that_is_none(values, why):
    with pytest.raises(CheckpointError, match=why):
        read_vocabulary(metadata(**values))


def test_special_tokens_by_name():
    vocabulary = Vocabulary(["<s>", "a"], [3, 1])
    assert special_token(metadata(bos_token_id=0), vocabulary, "bos") == "<s>"
    assert special_token(metadata(), vocabulary, "bos") is None
    with pytest.raises(CheckpointError, match=r"'tokenizer.ggml.bos_token_id' is 2 of 2 tokens"):
        special_token(metadata(bos_token_id=2), vocabulary, "bos")


def test_an_end_of_a_turn_is_control_whatever_the_file_says():
    found = read_vocabulary(
        metadata(tokens=["<eos>", "<end_of_turn>", "</s>"], token_type=np.array([3, 4, 4]))
    )
    assert found.of_kind(CONTROL) == ["<eos>", "<end_of_turn>"]
    assert stop_ids(metadata(), found) == [0, 1]


def test_replies_stop_at_every_end_of_a_turn():
    """Phi-3's files name <|endoftext|> alone; its replies end with <|end|>."""
    vocabulary = Vocabulary(["<|user|>", "<|end|>", "<|endoftext|>", "<|im_end|>"], [3, 3, 3, 1])
    assert stop_ids(metadata(eos_token_id=2), vocabulary) == [2, 1]
    assert stop_ids(metadata(eos_token_id=2, eot_token_id=0), vocabulary) == [2, 0, 1]


@pytest.mark.parametrize(
    "stated", [np.zeros(1), np.array([0, np.nan]), np.array([0, np.inf]), SIGNALLING, None]
)
def test_scores_that_are_none(stated):
    values = {} if stated is None else {"scores": stated}
    with pytest.raises(CheckpointError, match=r"scores|no score for each token"):
        scores(metadata(**values), Vocabulary(["a", "b"], [1, 1]))
