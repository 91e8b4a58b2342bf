"""A request in OpenVINO GenAI's own words: its tensor of tokens and its generation config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aipc.errors import EngineError
from aipc.runtimes.base import Constraint, Decoding
from aipc.runtimes.openvino.schema import written


def token_tensor(prompt: Sequence[int]) -> Any:
    """Token ids as an ``openvino.Tensor``, i64 [1, tokens].

    Raises:
        EngineError: there are none.
    """
    if not prompt:
        raise EngineError("the prompt has no tokens", "give at least one")
    import numpy as np
    import openvino

    return openvino.Tensor(np.array([prompt], np.int64))


def generation_config(decoding: Decoding, stop_ids: frozenset[int]) -> Any:
    """How to choose the next token, and where to stop."""
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = decoding.max_new_tokens
    config.repetition_penalty = decoding.repetition_penalty
    config.set_eos_token_id(min(stop_ids, default=0))
    config.stop_token_ids = set(stop_ids) or {0}
    config.ignore_eos = not stop_ids
    config.logprobs = int(decoding.logprobs)
    if decoding.constraint is not None:
        config.structured_output_config = _structured(decoding.constraint)
    if decoding.temperature > 0:
        _sample(config, decoding)
    return config


def _sample(config: Any, decoding: Decoding) -> None:
    config.do_sample = True
    config.temperature = decoding.temperature
    config.top_p = decoding.top_p
    config.rng_seed = decoding.seed
    if decoding.top_k:
        config.top_k = decoding.top_k


def _structured(constraint: Constraint) -> Any:
    import openvino_genai

    is_schema = constraint.kind == "json_schema"
    text = written(constraint.text) if is_schema else constraint.text
    return openvino_genai.StructuredOutputConfig(**{constraint.kind: text})
