import json

import pytest
import tiny

from aipc.errors import GenerationError
from aipc.generate.request import GenerationRequest
from aipc.generate.text_pipeline import TextPipeline

ASKED = [{"role": "user", "content": "hi"}]


def pipeline(folder, vocabulary):
    config = {"vocab_size": vocabulary, "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config))
    tiny.write_tokenizer(folder)
    return TextPipeline.read(folder)


def test_a_token_beyond_the_embedding_is_refused_by_its_text(tmp_path):
    short = pipeline(tmp_path, 258)  # "<|user|>" is 258
    for ask in (
        lambda: short.encode(ASKED),
        lambda: short.prepare(GenerationRequest(messages=ASKED)),
    ):
        with pytest.raises(GenerationError, match=r"'<\|assistant\|>' \(259\), .* 0 to 257; its"):
            ask()


def test_a_token_that_is_never_used_may_be_beyond_it(tmp_path):
    assert pipeline(tmp_path, 260).encode(ASKED)
    assert pipeline(tmp_path, 256).prepare(GenerationRequest(prompt="hi", raw=True))[0]
