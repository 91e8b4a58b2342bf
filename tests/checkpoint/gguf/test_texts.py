import json

import pytest

from aipc.checkpoint import open_checkpoint

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


def test_a_model_without_a_template_or_special_tokens(make_gguf, tmp_path):
    changes = {f"tokenizer__ggml__{name}_token_id": None for name in ("bos", "eos")}
    open_checkpoint(make_gguf(**changes)).write_text_files(tmp_path / "out")
    assert not (tmp_path / "out" / "chat_template.jinja").exists()
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text()) == {}
    assert "bos_token" not in json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
