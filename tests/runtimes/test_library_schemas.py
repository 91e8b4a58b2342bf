"""Schemas as libraries write them, answered by scores that know nothing: what ends, fits."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from library_schemas import draw_schema
from speller import same_scores, scripted_pipeline

from aipc.artifact.config import read_stop_ids
from aipc.convert.recipe import Recipe
from aipc.generate import Tokenizer
from aipc.generate.structured.constraint import constrain
from aipc.runtimes.grammars.ebnf import write_ebnf
from aipc.runtimes.openvino.tokenizer import open_tokenizer
from aipc.session.convert import convert

TOKENS = 250
FEW, MANY = 60, 3000
ENDING = frozenset('{}[]",:0123456789.-')


class Answering:
    """Draws tokens by scores that are the same everywhere, and like what ends things."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_folder(folder)
        self.end = min(read_stop_ids(folder))

    def scores(self, vocabulary):
        scores = np.random.default_rng(1).normal(0, 1, vocabulary).astype(np.float32)
        for token in range(vocabulary):
            text = self.tokenizer.decode([token])
            scores[token] += 7 * (bool(text) and ENDING.issuperset(text))
            scores[token] += 3 * (text in {'"', '"}', '"]', '",', "}", "]", '"]}'})
        scores[self.end] = 12
        return scores

    def text(self, ids):
        return self.tokenizer.decode([token for token in ids if token != self.end])


class OpenVINOAnswering(Answering):
    def __init__(self, folder):

        super().__init__(folder)
        tokenizer = open_tokenizer(folder)
        network = same_scores(self.scores(max(tokenizer.get_vocab().values()) + 1))
        self._pipeline = scripted_pipeline(tokenizer, network)

    def answer(self, constraint, seed):
        import openvino
        import openvino_genai

        config = openvino_genai.GenerationConfig(max_new_tokens=TOKENS, do_sample=True)
        config.rng_seed = seed
        config.set_eos_token_id(self.end)
        config.stop_token_ids = {self.end}
        config.structured_output_config = openvino_genai.StructuredOutputConfig(
            grammar=write_ebnf(constraint.grammar)
        )
        prompt = openvino.Tensor(np.array([[1]], np.int64))
        ids = list(self._pipeline.generate(prompt, config).tokens[0])
        return self.text(ids) if ids[-1] == self.end else None


class ONNXAnswering(Answering):
    def __init__(self, folder):
        from aipc.runtimes.onnx.folder import open_folder
        from aipc.runtimes.onnx.guided import Grammars

        super().__init__(folder)
        opened = open_folder(folder)
        self.end = opened.ends[0]
        self._grammars = Grammars(opened)
        self._scores = self.scores(opened.vocabulary)

    def answer(self, constraint, seed):
        grammar, dice = self._grammars.make(constraint), np.random.default_rng(seed)
        ids = []
        while len(ids) < TOKENS:
            noise = dice.gumbel(size=len(self._scores)).astype(np.float32)
            ids.append(grammar.choose(self._scores + noise))
            if ids[-1] == self.end:
                return self.text(ids)
        return None


@pytest.fixture(scope="module", params=[("openvino", OpenVINOAnswering), ("onnx", ONNXAnswering)])
def answering(request, smollm_gguf, small_store):
    runtime, kind = request.param
    converted = convert(str(smollm_gguf), Recipe("int8"), runtime=runtime, store=small_store)
    return kind(converted.path)


def assert_all_fit(answering, seeds):
    """None is refused, nearly all come to an end, and those fit."""
    ended = 0
    for seed in seeds:
        schema = draw_schema(seed)
        text = answering.answer(constrain(schema).constraint, seed)
        if text is not None:
            ended += 1
            jsonschema.validate(json.loads(text), schema, cls=jsonschema.Draft202012Validator)
    assert ended > 0.9 * len(seeds)


def test_what_ends_fits(answering):
    assert_all_fit(answering, range(FEW))


def test_the_text_of_a_stop_id_is_no_part_of_a_text(answering):
    """Here "<|endoftext|>" is one, and the likeliest of all tokens."""
    schema = {"type": "object", "properties": {"a": {"pattern": r"^\S+$"}}, "required": ["a"]}
    enforced = constrain(schema)
    for seed in range(9):
        text = answering.answer(enforced.constraint, seed)
        assert text is None or set(json.loads(text)) == {"a"}


@pytest.mark.long
def test_what_ends_fits_three_thousand_times(answering):
    assert_all_fit(answering, range(MANY))
