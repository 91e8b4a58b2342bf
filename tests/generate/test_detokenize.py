from __future__ import annotations

import random

from aipc.generate.detokenize import Detokenizer


def pieces(tokenizer, tokens):
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.feed(token) for token in tokens), detokenizer.finish()]


def ids(tokenizer, *names):
    found = [tokenizer.id_of(name) for name in names]
    assert None not in found
    return found


def test_pieces_of_random_text_join_to_the_whole_decoding(tokenizer, random_text):
    source = random.Random(7)
    for _ in range(400):
        tokens = tokenizer.encode(random_text(source), add_special_tokens=False)
        assert "".join(pieces(tokenizer, tokens)) == tokenizer.decode(tokens)


def test_no_piece_holds_a_part_of_a_character(tokenizer, random_text):
    source = random.Random(8)
    split = 0
    for _ in range(200):
        tokens = tokenizer.encode(random_text(source), add_special_tokens=False)
        assert not any("\ufffd" in piece for piece in pieces(tokenizer, tokens))
        split += any("\ufffd" in tokenizer.decode([token]) for token in tokens)
    assert split > 50, "the tokenizer never split a character, so this test showed nothing"


def test_text_is_given_as_soon_as_it_is_whole(byte_level):
    tokens = byte_level.encode("the capital of France", add_special_tokens=False)
    assert all(pieces(byte_level, tokens)[:-1])


def test_random_ids_join_to_the_whole_decoding(byte_level):
    source = random.Random(9)
    above = byte_level.vocabulary_size + 5
    for _ in range(400):
        tokens = [source.randrange(above) for _ in range(source.randint(0, 40))]
        assert "".join(pieces(byte_level, tokens)) == byte_level.decode(tokens)


def test_emoji_comes_whole_with_its_last_byte(sentencepiece):
    tokens = ids(sentencepiece, "<0xF0>", "<0x9F>", "<0x98>", "<0x80>")
    assert pieces(sentencepiece, tokens) == ["", "", "", "😀", ""]


def test_incomplete_character_at_the_end_is_a_replacement_character(byte_level, sentencepiece):
    tokens = byte_level.encode("a😀", add_special_tokens=False)[:-1]
    assert byte_level.decode(tokens).startswith("a\ufffd")
    assert "".join(pieces(byte_level, tokens)) == byte_level.decode(tokens)
    assert "".join(pieces(sentencepiece, ids(sentencepiece, "<0xF0>", "<0x9F>"))) == "\ufffd\ufffd"


def test_wrong_byte_after_a_whole_character_leaves_that_character(sentencepiece):
    tokens = ids(sentencepiece, "<0xE2>", "<0x82>", "<0xAC>", "<0xFF>", "t")
    assert sentencepiece.decode(tokens) == "\ufffd\ufffd\ufffd\ufffdt"
    assert "".join(pieces(sentencepiece, tokens)) == "€\ufffdt"


def test_spaces_stand_between_words_and_not_before_the_first(sentencepiece, metaspace):
    for tokenizer in (sentencepiece, metaspace):
        tokens = tokenizer.encode("the capital of France", add_special_tokens=False)
        given = pieces(tokenizer, tokens)
        assert not given[0].startswith(" ")
        assert "".join(given) == "the capital of France"


def test_special_token_gives_no_text_and_costs_no_space(tokenizer):
    first = tokenizer.encode("the capital", add_special_tokens=False)
    (end,) = ids(tokenizer, "<|end|>")
    tokens = [end, *first, end, *first]
    assert "".join(pieces(tokenizer, tokens)) == tokenizer.decode(tokens)


def test_window_stays_short_however_long_the_nonsense(sentencepiece):
    longest = 0

    class Watched:
        is_silent = staticmethod(sentencepiece.is_silent)

        @staticmethod
        def decode(tokens):
            nonlocal longest
            longest = max(longest, len(tokens))
            return sentencepiece.decode(tokens)

    given = pieces(Watched, ids(sentencepiece, "t", *["<0xFF>"] * 1000, "t"))
    assert longest <= 70
    assert "".join(given) == "t" + "\ufffd" * 1000 + "t"


def test_word_after_nonsense_keeps_its_space(sentencepiece):
    for length in range(60, 70):
        tokens = ids(sentencepiece, "t", *["<0xFF>"] * length, "▁", "t")
        assert "".join(pieces(sentencepiece, tokens)) == sentencepiece.decode(tokens)
