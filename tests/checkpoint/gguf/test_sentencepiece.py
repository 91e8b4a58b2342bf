import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.sentencepiece import (
    build_merged_pieces,
    build_sentencepiece,
    merges_by_score,
)
from aipc.checkpoint.gguf.vocabulary import BYTE, CONTROL, NORMAL, UNKNOWN, read_vocabulary
from aipc.errors import CheckpointError

SPACE = "▁"


def trained_pieces(draw, count):
    """Pieces as BPE training finds them: each of two earlier ones, worse and worse scores."""
    pieces = {letter: -1000.0 - i for i, letter in enumerate(f"abcd{SPACE}")}
    while len(pieces) < count:
        made = draw.choice(list(pieces)) + draw.choice(list(pieces))
        if len(made) <= 6:
            pieces.setdefault(made, -float(len(pieces)))
    return pieces


def join_best(pieces, text):
    """Sentencepiece's encoding as its paper has it: join the neighbors that score best."""
    parts = list(text)
    while True:
        joints = [
            (pieces[left + right], -at)
            for at, (left, right) in enumerate(pairwise(parts))
            if left + right in pieces
        ]
        if not joints:
            return parts
        at = -max(joints)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def vocabulary_of(pieces, **flags):
    special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    special += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    tokens = [token for token, _ in special] + list(pieces)
    metadata = Metadata(
        Path("m.gguf"),
        {
            "general.architecture": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": np.array(
                [kind for _, kind in special] + [NORMAL] * len(pieces)
            ),
            "tokenizer.ggml.scores": np.array([0.0] * len(special) + list(pieces.values())),
            **{f"tokenizer.ggml.{name}": value for name, value in flags.items()},
        },
    )
    return metadata, read_vocabulary(metadata)


def test_encodes_as_joining_the_best_neighbors_does():
    draw = random.Random(2)
    for _ in range(5):
        pieces = trained_pieces(draw, 60)
        tokenizer = build_sentencepiece(*vocabulary_of(pieces, add_space_prefix=False))
        for _ in range(100):
            text = "".join(draw.choices("abcd ", k=draw.randint(0, 25)))
            assert tokenizer.encode(text).tokens == join_best(pieces, text.replace(" ", SPACE))


def test_merges_are_every_way_to_make_a_piece_best_first():
    pieces = {"a": -9.0, "b": -9.0, "ab": -2.0, "ba": -1.0, "aba": -3.0, "xb": 0.0}
    ids = {piece: i for i, piece in enumerate(pieces)}
    merges = [("b", "a"), ("a", "b"), ("a", "ba"), ("ab", "a")]
    assert merges_by_score(pieces, ids) == merges


def test_tokens_that_are_no_text_are_never_joined():
    """Llama 2 has both "</" and "s>": their union is a token, and no piece."""
    tokenizer = build_sentencepiece(*vocabulary_of({"</": -2.0, "s>": -1.0, "<": -5.0, "/": -6.0}))
    assert "</s>" not in tokenizer.encode("</s>").tokens


@pytest.mark.parametrize(
    ("prefix", "text", "tokens"),
    [
        (True, "a a", [f"{SPACE}a", f"{SPACE}a"]),
        (False, "a  a", ["a", SPACE, f"{SPACE}a"]),
    ],
)
def test_a_text_begins_with_a_space_unless_told_otherwise(prefix, text, tokens):
    pieces = {"a": -5.0, SPACE: -6.0, f"{SPACE}a": -1.0}
    tokenizer = build_sentencepiece(*vocabulary_of(pieces, add_space_prefix=prefix))
    encoded = tokenizer.encode(text)
    assert encoded.tokens == tokens
    assert tokenizer.decode(encoded.ids) == text


@pytest.mark.parametrize("text", ["é", "日本", "🙂 a", "a\n\x00"])
def test_what_is_no_piece_is_spelt_in_bytes(text):
    tokenizer = build_sentencepiece(*vocabulary_of({"a": -1.0, SPACE: -2.0}))
    encoded = tokenizer.encode(text)
    assert "<unk>" not in encoded.tokens
    assert tokenizer.decode(encoded.ids) == text


def test_a_vocabulary_without_scores():
    metadata, vocabulary = vocabulary_of({"a": -1.0})
    del metadata._values["tokenizer.ggml.scores"]
    with pytest.raises(CheckpointError, match=r"lacks 'tokenizer.ggml.scores'"):
        build_sentencepiece(metadata, vocabulary)


def test_merges_of_the_file_itself_go_before_scores():
    pieces = {
        "a": -1.0,
        "b": -1.0,
        "c": -1.0,
        "ab": -9.0,
        "bc": -2.0,
        f"{SPACE}a": -3.0,
        SPACE: -1.0,
    }
    merges = ["a b", "b c", f"{SPACE} a"]
    metadata, vocabulary = vocabulary_of(pieces, merges=merges, unknown_token_id=0)
    tokenizer = build_merged_pieces(metadata, vocabulary)
    assert tokenizer.encode("abc  a").tokens == ["ab", "c", SPACE, f"{SPACE}a"]
    for text in ("abc  a", "é\n\n a", " a"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    scored = build_sentencepiece(*vocabulary_of(pieces, add_space_prefix=False))
    assert scored.encode("abc").tokens == ["a", "bc"]


def test_the_unknown_token_may_be_of_another_kind():
    metadata, vocabulary = vocabulary_of({"a": -1.0}, unknown_token_id=2)
    tokens = build_sentencepiece(metadata, vocabulary)
    assert tokens.model.unk_token == "</s>"
