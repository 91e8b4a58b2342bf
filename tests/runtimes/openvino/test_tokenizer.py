from __future__ import annotations

from aipc.convert.recipe import Recipe
from aipc.runtimes.openvino.tokenizer import masked_tokenizer, open_tokenizer
from aipc.session.convert import convert


def test_special_tokens_have_no_text_and_all_else_is_the_folders(smollm_gguf, small_store):
    import openvino_genai

    folder = convert(str(smollm_gguf), Recipe("int8"), runtime="openvino", store=small_store).path
    plain, opened = openvino_genai.Tokenizer(folder), open_tokenizer(folder)
    missing = set(plain.get_vocab()) - set(opened.get_vocab())
    assert {b"<|endoftext|>", b"<|im_start|>"} <= missing
    assert all(text.startswith(b"<") for text in missing)
    assert opened.get_eos_token_id() == plain.get_eos_token_id()
    asked = "<|im_start|>user\nHow far is it?"
    assert (opened.encode(asked).input_ids.data == plain.encode(asked).input_ids.data).all()


def test_a_folder_without_a_tokenizer_has_none(tmp_path):
    assert masked_tokenizer(tmp_path) is None
