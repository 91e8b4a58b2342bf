from __future__ import annotations

import random

from tokenizers import AddedToken


def test_the_bytes_of_the_tokens_join_to_the_text(tokenizer, random_text):
    source = random.Random(11)
    for _ in range(60):
        tokens = tokenizer.encode(random_text(source), add_special_tokens=False)
        joined = b"".join(map(tokenizer.bytes_of, tokens)).decode()
        text = tokenizer.decode(tokens)
        assert joined in {text, f" {text}"}


def test_a_part_of_a_character_is_told_as_its_bytes(tokenizer):
    tokens = tokenizer.encode("\N{SNOWMAN}", add_special_tokens=False)
    assert len(tokens) > 1
    assert b"".join(map(tokenizer.bytes_of, tokens)).endswith("\N{SNOWMAN}".encode())


def test_special_tokens_and_strangers_write_nothing(tokenizer):
    assert tokenizer.bytes_of(tokenizer.id_of("<|end|>")) == b""
    assert tokenizer.bytes_of(tokenizer.vocabulary_size + 7) == b""


def test_an_added_token_is_no_byte_level_spelling(byte_level_backend):
    from aipc.generate.tokenizer import Tokenizer

    backend = type(byte_level_backend).from_str(byte_level_backend.to_str())
    backend.add_tokens([AddedToken("Ġ→x")])
    tokenizer = Tokenizer(backend, {})
    assert tokenizer.bytes_of(tokenizer.id_of("Ġ→x")) == "Ġ→x".encode()
