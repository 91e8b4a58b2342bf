"""Sequences whose tokens the vendor's grammar engine (llguidance) allows one by one.

It masks the scores only inside the vendor's own greedy search, so that search makes the choice,
from scores that already carry the temperature and the dice (`Sampler.rank`).
"""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np

from aipc.errors import EngineError, UsageError
from aipc.runtimes.base import Constraint
from aipc.runtimes.grammars.lark import write_lark
from aipc.runtimes.onnx.folder import GenAIFolder
from aipc.runtimes.onnx.sequence import CachedSequence
from aipc.runtimes.sampler import Scores

PLAIN_SEARCH = {
    "batch_size": 1,
    "min_length": 0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "do_sample": False,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
}
"""Whatever the folder's own settings: tokens are chosen by `aipc.runtimes.sampler`."""
_GRAPH = "scoreless.onnx"
_NO_TOKEN = 0  # of any kind: it stands for the prompt


class GuidedSequence(CachedSequence):
    """For one answer: what its grammar has read can't be taken back."""

    def choose(self, ranked: Scores) -> int:
        """The allowed token that ranks highest, computed in the cache with the next step."""
        token = _allowed(self._generator, ranked)
        self.tokens.append(token)
        return token


class Grammar:
    """One answer's constraint, for scores that were computed elsewhere."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        generator.append_tokens([_NO_TOKEN])

    def choose(self, ranked: Scores) -> int:
        """The allowed token that ranks highest in ``ranked`` [vocabulary]."""
        return _allowed(self._generator, ranked)


class Grammars:
    """Makes those of one folder, in the vendor's model of a graph without weights.

    llguidance comes with GenAI, which lends it to its own models alone.
    """

    def __init__(self, folder: GenAIFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._model: Any = None

    def make(self, constraint: Constraint) -> Grammar:
        """Compile a constraint; errors are those of `guided_generator`."""
        import onnxruntime_genai

        with self._lock:
            if self._model is None:
                self._model = _scoreless_model(self._folder)
        params = onnxruntime_genai.GeneratorParams(self._model)
        params.set_search_options(max_length=self._folder.context, **PLAIN_SEARCH)
        return Grammar(guided_generator(self._model, params, constraint))


def _scoreless_model(folder: GenAIFolder) -> Any:
    """An ``og.Model`` with the tokenizer of ``folder``, whose scores are nothing but zeros."""
    import onnxruntime_genai
    from onnx import TensorProto, helper

    def tensor(name: str, kind: int, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    vocabulary = helper.make_tensor("vocabulary", TensorProto.INT64, [1], [folder.vocabulary])
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    nodes = [
        helper.make_node("Shape", ["input_ids"], ["places"]),
        helper.make_node("Concat", ["places", "vocabulary"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["logits"], value=zero),
    ]
    ids = tensor("input_ids", TensorProto.INT64, "batch", "tokens")
    scores = tensor("logits", TensorProto.FLOAT, "batch", "tokens", folder.vocabulary)
    graph = helper.make_graph(nodes, "scoreless", [ids], [scores], [vocabulary])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    config = onnxruntime_genai.Config(str(folder.path))
    config.clear_providers()
    data = model.SerializeToString()  # has to live until the model is made: it is not copied
    config.add_model_data(_GRAPH, data)
    decoder = {
        "filename": _GRAPH,
        "inputs": {"input_ids": "input_ids"},
        "outputs": {"logits": "logits"},
        "session_options": {"intra_op_num_threads": 1},
    }
    config.overlay(json.dumps({"model": {"decoder": decoder}}))
    return onnxruntime_genai.Model(config)


def _allowed(generator: Any, ranked: Scores) -> int:
    """What the vendor's greedy search makes of ``ranked``; it computes it with the next step."""
    scores = np.full_like(generator.get_logits(), -np.inf)
    scores[0, -1] = ranked
    generator.set_logits(scores)
    generator.generate_next_token()
    return int(generator.get_next_tokens()[0])


def guided_generator(model: Any, params: Any, constraint: Constraint) -> Any:
    """An ``og.Generator`` under a constraint, compiled here.

    Raises:
        UsageError: it is no valid schema or expression, has parts that llguidance does not
            enforce, or is more than that takes.
    """
    import onnxruntime_genai

    try:
        params.set_guidance(*_guidance(constraint))
        return onnxruntime_genai.Generator(model, params)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        kind = constraint.kind.replace("_", " ")
        raise UsageError(f"the {kind} can't be enforced: {reason}", "mend it") from error


def _guidance(constraint: Constraint) -> tuple[str, str]:
    """The vendor's name for the kind, and the text."""
    if constraint.grammar is None:
        return constraint.kind, constraint.text
    return "lark_grammar", write_lark(constraint.grammar)


def check_end(ends: tuple[int, ...], stop_ids: frozenset[int]) -> None:
    """Refuse a constraint where the token that ends its answer would end no other.

    Raises:
        EngineError: the first of genai_config.json's ``ends`` is no stop id.
    """
    if not ends or ends[0] not in stop_ids:
        raise EngineError(
            f"a constrained answer ends with genai_config.json's first eos_token_id "
            f"({ends[0] if ends else 'none'}), which is none of the model's stop ids",
            "add it to eos_token_id in generation_config.json",
        )
