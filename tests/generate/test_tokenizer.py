from __future__ import annotations

import json
import random

import pytest
from tokenizers import AddedToken, Regex, models, pre_tokenizers
from tokenizers import Tokenizer as Backend
from tokenizers.processors import TemplateProcessing

from aipc.errors import ArtifactError, CheckpointError, EngineError
from aipc.generate.tokenizer import Tokenizer


def test_folder_gives_ids_and_text_back(tokenizer_folder):
    tokenizer = Tokenizer.from_folder(tokenizer_folder)
    tokens = tokenizer.encode("the café", add_special_tokens=False)
    assert tokenizer.decode(tokens) == "the café"
    assert tokenizer.vocabulary_size == 403


def test_special_tokens_are_read_as_text_or_as_added_tokens(tokenizer_folder):
    tokenizer = Tokenizer.from_folder(tokenizer_folder)
    assert tokenizer.bos_token == "<s>"
    assert tokenizer.eos_token == "</s>"


def test_bos_is_added_to_plain_text_only(byte_level):
    bos = byte_level.id_of("<s>")
    plain = byte_level.encode("the", add_special_tokens=True)
    rendered = byte_level.encode("<s>the", add_special_tokens=False)
    assert plain == rendered
    assert plain.count(bos) == 1


@pytest.mark.parametrize(
    ("config", "first", "last"),
    [
        ({"add_bos_token": False}, None, None),
        ({"add_bos_token": True}, "<s>", None),
        ({"add_bos_token": True, "add_eos_token": True}, "<s>", "</s>"),
        ({"add_eos_token": True}, None, "</s>"),
    ],
)
def test_explicit_frame_overrules_the_post_processor_as_in_transformers(
    byte_level_backend, config, first, last
):
    from transformers import PreTrainedTokenizerFast

    named = {"bos_token": "<s>", "eos_token": "</s>", **config}
    ours = Tokenizer(byte_level_backend, named).encode("the", add_special_tokens=True)
    theirs = PreTrainedTokenizerFast(tokenizer_object=byte_level_backend, **named)
    assert ours == theirs.encode("the")
    assert (ours[0] == byte_level_backend.token_to_id("<s>")) == (first is not None)
    assert (ours[-1] == byte_level_backend.token_to_id("</s>")) == (last is not None)


def test_bos_asked_for_and_not_named_is_refused(byte_level_backend):
    with pytest.raises(ArtifactError, match="add_bos_token, but bos_token is None"):
        Tokenizer(byte_level_backend, {"add_bos_token": True})


def test_special_tokens_in_text_are_parsed_and_not_decoded(byte_level):
    tokens = byte_level.encode("the<|end|>", add_special_tokens=False)
    assert tokens[-1] == byte_level.id_of("<|end|>")
    assert byte_level.decode(tokens) == "the"
    assert byte_level.is_silent(tokens[-1])
    assert byte_level.is_silent(byte_level.vocabulary_size)
    assert not byte_level.is_silent(tokens[0])


def test_truncation_in_the_file_does_not_cut_prompts(tokenizer_folder):
    path = tokenizer_folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["truncation"] = {
        "direction": "Right",
        "max_length": 3,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    path.write_text(json.dumps(content))
    text = "der größte Bär"
    tokens = Tokenizer.from_folder(tokenizer_folder).encode(text, add_special_tokens=False)
    assert Tokenizer.from_folder(tokenizer_folder).decode(tokens) == text


def test_missing_tokenizer_says_where(tmp_path):
    with pytest.raises(ArtifactError, match=r"has no tokenizer\.json; convert"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_damaged_file_is_named(tokenizer_folder, name):
    path = tokenizer_folder / name
    path.write_text(path.read_text(encoding="utf-8")[:-20])
    with pytest.raises(CheckpointError, match=f"{name}' is damaged"):
        Tokenizer.from_folder(tokenizer_folder)


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


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("a", True),
        ("ä", True),
        ("今", True),
        ("7", False),
        (" |", False),
        ("☃", False),
        ("🚨", False),
    ],
)
def test_letters_are_told_from_what_is_none_also_by_a_part_of_one(tokenizer, text, has):
    tokens = tokenizer.encode(text, add_special_tokens=False)
    assert any(map(tokenizer.has_letter, tokens)) is has
    assert not tokenizer.has_letter(tokenizer.id_of("<|end|>"))


def test_special_tokens_and_strangers_write_nothing(tokenizer):
    assert tokenizer.bytes_of(tokenizer.id_of("<|end|>")) == b""
    assert tokenizer.bytes_of(tokenizer.vocabulary_size + 7) == b""


def test_an_added_token_is_no_byte_level_spelling(byte_level_backend):
    from aipc.generate.tokenizer import Tokenizer

    backend = type(byte_level_backend).from_str(byte_level_backend.to_str())
    backend.add_tokens([AddedToken("Ġ→x")])
    tokenizer = Tokenizer(backend, {})
    assert tokenizer.bytes_of(tokenizer.id_of("Ġ→x")) == "Ġ→x".encode()


def test_a_panic_of_the_tokenizer_is_an_error_of_ours():
    """What Rust panics with is no Exception, and no answer may be lost by it."""
    backend = Backend(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"(a+)+\d"), "isolated")
    tokenizer = Tokenizer(backend, {})

    with pytest.raises(EngineError, match="tokenizer failed on this text"):
        tokenizer.encode("a" * 40 + "!", add_special_tokens=False)


@pytest.fixture
def paired(byte_level_backend):
    """A backend that frames texts and pairs of them; the tests share the other one."""
    backend = Backend.from_str(byte_level_backend.to_str())
    ends = [("<s>", backend.token_to_id("<s>"))]
    backend.post_processor = TemplateProcessing("<s> $A <s>", "<s> $A <s>:0 $B:1 <s>:1", ends)
    return backend


@pytest.mark.parametrize("lengths", [(3, 40), (40, 3), (40, 40), (3, 3), (19, 40), (0, 40)])
def test_whole_texts_and_pairs_are_cut_as_transformers_cuts_them(paired, lengths):
    from transformers import PreTrainedTokenizerFast

    longest = 20
    names = ["input_ids", "token_type_ids"]
    theirs = PreTrainedTokenizerFast(tokenizer_object=paired, model_input_names=names)
    first, second = ("e " * count for count in lengths)
    for texts in ((first,), (first, second)):
        whole = theirs(*texts, truncation=False)["input_ids"]
        cut = theirs(*texts, truncation="longest_first", max_length=longest)
        ours = Tokenizer(paired, {}).encode_whole(*([text] for text in texts), longest=longest)[0]
        assert list(ours.ids) == cut["input_ids"]
        assert list(ours.types) == cut["token_type_ids"]
        assert ours.cut == len(whole) - len(ours.ids)


def test_a_config_that_asks_for_no_token_leaves_the_frame_of_the_file(paired):
    plain, asked = (
        Tokenizer(paired, config).encode_whole(["the"])[0]
        for config in ({}, {"add_bos_token": False})
    )
    assert plain == asked
    config = {"add_eos_token": True, "eos_token": "</s>"}
    (framed,) = Tokenizer(paired, config).encode_whole(["the"], longest=2)
    assert framed.ids[-1] == paired.token_to_id("</s>")
    assert (len(framed.ids), framed.cut > 0) == (2, len(plain.ids) > 3)
