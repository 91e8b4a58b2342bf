"""GenAI's own tokenizer reads our folders and gives our tokens."""

from __future__ import annotations

import json

import onnxruntime_genai
import pytest
import tiny
from tokenizers import Tokenizer

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.tokenizer import adapt_tokenizer
from aipc.convert.recipe import Recipe

TEXTS = [
    "<|im_start|>user\nName three  colors.<|im_end|>\n<|im_start|>assistant\n",
    "I'll say it's 12  34, we're done -- x = 1   2",
    "  1\n\n  a\t\tb  \n",
    "naïve café, été 1984; 你好 世界 12",
    "def f(x: int) -> list[str]:\n    return [f'{x}']\n",
]


@pytest.fixture(scope="module")
def artifact(smollm_gguf, converted_to_onnx):
    return converted_to_onnx(smollm_gguf, Recipe("int4"))


def test_tokens_and_texts_are_those_of_the_checkpoints_tokenizer(artifact, smollm_gguf, tmp_path):
    with open_checkpoint(smollm_gguf) as checkpoint:
        checkpoint.write_text_files(tmp_path)
    own = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    adapted = Tokenizer.from_file(str(artifact / "tokenizer.json"))
    genai = onnxruntime_genai.Tokenizer(onnxruntime_genai.Model(str(artifact)))
    for text in TEXTS:
        wanted = own.encode(text).ids
        assert adapted.encode(text).ids == wanted
        assert genai.encode(text).tolist() == wanted
        assert genai.decode(wanted) == own.decode(wanted)


def test_any_other_tokenizer_stays_as_it_is(tmp_path):
    tiny.write_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    before = path.read_bytes()
    adapt_tokenizer(tmp_path)
    assert path.read_bytes() == before
    path.write_text(json.dumps({"model": {}, "pre_tokenizer": None}))
    adapt_tokenizer(tmp_path)
    assert json.loads(path.read_text()) == {"model": {}, "pre_tokenizer": None}
