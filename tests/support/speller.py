"""Whether a runtime's grammar engine lets an answer through: it is spelt to it, byte by byte.

Scores that prefer the next byte of the answer take the model's place, so the engine gives the
answer back where the schema allows it, and something else where it does not.  For the tiny
tokenizer, whose tokens are bytes.
"""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from aipc.generate import Tokenizer

END = 257


class OpenVINOSpeller:
    def __init__(self, folder):
        import openvino_genai

        self._bytes = Tokenizer.from_folder(folder)
        self._tokenizer = openvino_genai.Tokenizer(folder)
        self._pipeline = lru_cache(self._make)

    def allows(self, schema, answer):
        import openvino
        import openvino_genai

        ids = _spelt(self._bytes, answer)
        config = openvino_genai.GenerationConfig(max_new_tokens=len(ids), do_sample=False)
        config.set_eos_token_id(END)
        config.stop_token_ids = {END}
        config.structured_output_config = openvino_genai.StructuredOutputConfig(
            json_schema=json.dumps(schema)
        )
        prompt = openvino.Tensor(np.array([[1]], np.int64))
        told = list(self._pipeline(ids).generate(prompt, config).tokens[0])
        return [token for token in told if token != END] == list(ids[:-1])

    def _make(self, ids):
        import openvino
        import openvino_genai

        with tempfile.TemporaryDirectory() as folder:
            graph = Path(folder, "model.xml")
            openvino.save_model(
                _network(ids, len(self._tokenizer.get_vocab())), graph, compress_to_fp16=False
            )
            weights = openvino.Tensor(np.fromfile(graph.with_suffix(".bin"), np.uint8))
            text = graph.read_text("utf-8")
        return openvino_genai.LLMPipeline(
            text, weights, self._tokenizer, "CPU", ATTENTION_BACKEND="SDPA"
        )


class ONNXSpeller:
    def __init__(self, folder):
        import onnxruntime_genai

        self._bytes = Tokenizer.from_folder(folder)
        self._model = onnxruntime_genai.Model(str(folder))

    def allows(self, schema, answer):
        """Raises RuntimeError where the engine refuses the schema itself."""
        import onnxruntime_genai

        ids = _spelt(self._bytes, answer)
        params = onnxruntime_genai.GeneratorParams(self._model)
        params.set_search_options(max_length=len(ids) + 2, do_sample=False)
        params.set_guidance("json_schema", json.dumps(schema))
        generator = onnxruntime_genai.Generator(self._model, params)
        generator.append_tokens([1])
        return all(_choice(generator, token) == token for token in ids)


def _choice(generator, token):
    """What the engine chooses where the scores prefer ``token``."""
    scores = np.full_like(generator.get_logits(), -1)
    scores[0, -1, token] = 1
    generator.set_logits(scores)
    generator.generate_next_token()
    return generator.get_next_tokens()[0]


def _spelt(tokenizer, answer):
    return (*tokenizer.encode(answer, add_special_tokens=False), END)


def _network(ids, vocabulary):
    """Prefers one id after the other, whatever it reads; the prompt has one token."""
    import openvino
    from openvino import opset13 as opset

    tokens = opset.parameter([-1, -1], np.int64, name="input_ids")
    mask = opset.parameter([-1, -1], np.int64, name="attention_mask")
    beam = opset.parameter([-1], np.int32, name="beam_idx")
    inputs = [tokens, mask, beam]
    for each in inputs:
        each.output(0).set_names({each.get_friendly_name()})
    read = opset.gather(opset.shape_of(mask), np.array([1]), np.int64(0))
    wanted = opset.gather(opset.constant(np.array([0, *ids, END], np.int64)), read, np.int64(0))
    hot = opset.one_hot(wanted, np.int64(vocabulary), np.float32(1), np.float32(0), -1)
    shape = opset.concat([opset.shape_of(tokens), np.array([vocabulary], np.int64)], 0)
    scores = opset.broadcast(hot, shape)
    scores.output(0).set_names({"logits"})
    return openvino.Model([opset.result(scores)], inputs, "spelling")
