"""Sequences whose tokens the vendor's grammar engine (llguidance) allows one by one.

It masks the scores only inside the vendor's own greedy search, so that search makes the choice,
from scores that already carry the temperature and the dice (`Sampler.rank`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aipc.errors import EngineError, UsageError
from aipc.runtimes.base import Constraint
from aipc.runtimes.onnx_sequence import CachedSequence
from aipc.runtimes.sampler import Scores


class GuidedSequence(CachedSequence):
    """For one answer: what its grammar has read can't be taken back."""

    def choose(self, ranked: Scores) -> int:
        """The allowed token that ranks highest, computed in the cache with the next step."""
        scores = np.full_like(self._generator.get_logits(), -np.inf)
        scores[0, -1] = ranked
        self._generator.set_logits(scores)
        self._generator.generate_next_token()
        token = int(self._generator.get_next_tokens()[0])
        self.tokens.append(token)
        return token


def guided_generator(model: Any, params: Any, constraint: Constraint) -> Any:
    """An ``og.Generator`` under a constraint, compiled here.

    Raises:
        UsageError: it is no valid schema or expression, has parts that llguidance does not
            enforce, or is more than that takes.
    """
    import onnxruntime_genai

    try:
        params.set_guidance(constraint.kind, constraint.text)
        return onnxruntime_genai.Generator(model, params)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        kind = constraint.kind.replace("_", " ")
        raise UsageError(f"the {kind} can't be enforced: {reason}", "mend it") from error


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
