"""Whether a runtime's grammar engine lets an answer through: it is spelt to it, byte by byte.

Scores that prefer the next byte of the answer take the model's place, so the engine gives the
answer back where the grammar allows it, and something else where it does not.  For the tiny
tokenizer, whose tokens are bytes.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from aipc.generate import Tokenizer
from aipc.runtimes.grammars.ebnf import write_ebnf

END = 257


class OpenVINOSpeller:
    def __init__(self, folder):
        import openvino_genai

        self._bytes = Tokenizer.from_folder(folder)
        self._tokenizer = openvino_genai.Tokenizer(folder)
        self._pipeline = lru_cache(self._make)

    def allows(self, grammar, answer):
        import openvino
        import openvino_genai

        ids = _spelt(self._bytes, answer)
        config = openvino_genai.GenerationConfig(max_new_tokens=len(ids), do_sample=False)
        config.set_eos_token_id(END)
        config.stop_token_ids = {END}
        config.structured_output_config = openvino_genai.StructuredOutputConfig(
            grammar=write_ebnf(grammar)
        )
        prompt = openvino.Tensor(np.array([[1]], np.int64))
        told = list(self._pipeline(ids).generate(prompt, config).tokens[0])
        return [token for token in told if token != END] == list(ids[:-1])

    def _make(self, ids):
        tokenizer = self._tokenizer
        return scripted_pipeline(tokenizer, _spelling(ids, len(tokenizer.get_vocab())))


class ONNXSpeller:
    def __init__(self, folder):
        from aipc.runtimes.onnx.folder import open_folder
        from aipc.runtimes.onnx.guided import Grammars

        self._bytes = Tokenizer.from_folder(folder)
        self._folder = open_folder(folder)
        self._grammars = Grammars(self._folder)

    def allows(self, constraint, answer):
        grammar = self._grammars.make(constraint)
        for token in _spelt(self._bytes, answer):
            wanted = np.full(self._folder.vocabulary, -1, np.float32)
            wanted[token] = 1
            if grammar.choose(wanted) != token:
                return False
        return True


def scripted_pipeline(tokenizer, network):
    """A pipeline of GenAI over a network without weights of its own."""
    import openvino
    import openvino_genai

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder, "model.xml")
        openvino.save_model(network, graph, compress_to_fp16=False)
        weights = openvino.Tensor(np.fromfile(graph.with_suffix(".bin"), np.uint8))
        text = graph.read_text("utf-8")
    return openvino_genai.LLMPipeline(text, weights, tokenizer, "CPU", ATTENTION_BACKEND="SDPA")


def same_scores(scores):
    """A network that gives ``scores`` [vocabulary] at every place."""
    from openvino import opset13 as opset

    return _network(lambda _: opset.constant(scores.astype(np.float32)), len(scores))


def _spelt(tokenizer, answer):
    return (*tokenizer.encode(answer, add_special_tokens=False), END)


def _spelling(ids, vocabulary):
    """Prefers one id after the other, whatever it reads; the prompt has one token."""
    from openvino import opset13 as opset

    def hot(mask):
        read = opset.gather(opset.shape_of(mask), np.array([1]), np.int64(0))
        wanted = opset.gather(opset.constant(np.array([0, *ids, END], np.int64)), read, np.int64(0))
        return opset.one_hot(wanted, np.int64(vocabulary), np.float32(1), np.float32(0), -1)

    return _network(hot, vocabulary)


def _network(scores_of, vocabulary):
    """A network whose scores ``scores_of`` makes of the attention mask."""
    import openvino
    from openvino import opset13 as opset

    tokens = opset.parameter([-1, -1], np.int64, name="input_ids")
    mask = opset.parameter([-1, -1], np.int64, name="attention_mask")
    beam = opset.parameter([-1], np.int32, name="beam_idx")
    inputs = [tokens, mask, beam]
    for each in inputs:
        each.output(0).set_names({each.get_friendly_name()})
    shape = opset.concat([opset.shape_of(tokens), np.array([vocabulary], np.int64)], 0)
    scores = opset.broadcast(scores_of(mask), shape)
    scores.output(0).set_names({"logits"})
    return openvino.Model([opset.result(scores)], inputs, "scripted")
