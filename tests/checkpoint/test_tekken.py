import base64
import json

import pytest

from aipc.checkpoint.tekken import build_tekken
from aipc.checkpoint.tokenizer_files import build_tokenizer
from aipc.errors import CheckpointError, UnsupportedModel

PATTERN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s+(?!\S)|\s+"
WORDS = [b"he", b"ll", b"lo", b"hello", b" w", b"or", b" wor", b" world", b"beyond"]
STRINGS = ["", "hello world", " hellohello  wor\n", "日本 1234", "[INST] hello[/INST] w</s>"]


def content(**changes):
    tokens = [bytes([byte]) for byte in range(256)] + WORDS
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    return {
        "config": {
            "pattern": PATTERN,
            "default_vocab_size": 8 + len(tokens) - 1,
            "default_num_special_tokens": 8,
        },
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(token).decode()}
            for rank, token in enumerate(tokens)
        ],
        "special_tokens": [
            {"rank": rank, "token_str": token} for rank, token in enumerate(special)
        ],
    } | changes


@pytest.fixture
def tekken(tmp_path):
    def write(**changes):
        path = tmp_path / "tekken.json"
        path.write_text(json.dumps(content(**changes)))
        return path

    return write


def test_the_ids_that_transformers_gives(tekken):
    from transformers.integrations.mistral.tokenizer import MistralConverter

    path = tekken()
    reference, built = MistralConverter(str(path)).converted(), build_tekken(path)
    assert built.get_vocab() == reference.get_vocab()
    for string in STRINGS:
        wanted = reference.encode(string, add_special_tokens=False).ids
        assert built.encode(string, add_special_tokens=False).ids == wanted
        assert built.decode(wanted, skip_special_tokens=False) == string


def test_a_text_begins_with_the_bos_token(tekken):
    tokenizer = build_tokenizer(tekken().parent)
    assert tokenizer.encode("hello").ids == [1, 8 + 256 + WORDS.index(b"hello")]


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab": [{"rank": 0}]},
        {"vocab": [{"rank": 0, "token_bytes": "??"}]},
        {"vocab": [{"rank": 0, "token_bytes": "YQ=="}] * 2},
        {"special_tokens": [{"rank": 1, "token_str": "<s>"}]},
        {"special_tokens": [{"rank": 0, "token_str": "<s>"}, {"rank": 1, "token_str": "<s>"}]},
        {"config": None},
        {"config": {"pattern": "x", "default_num_special_tokens": 10**12}},
        {"config": {"pattern": "x", "default_num_special_tokens": float("inf")}},
    ],
)
def test_what_contradicts_itself(tekken, changes):
    with pytest.raises(CheckpointError, match=r"tekken.json' is damaged"):
        build_tekken(tekken(**changes))


def test_the_first_version_is_named(tmp_path):
    (tmp_path / "tekken.json").write_text("{}")
    with pytest.raises(UnsupportedModel, match=r"special tokens; put the model's tokenizer.json"):
        build_tekken(tmp_path / "tekken.json")
