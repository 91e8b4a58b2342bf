"""Sequences whose tokens the vendor's grammar engine (llguidance) allows one by one.

It masks the scores only inside the vendor's own greedy search, so that search makes the choice,
from scores that already carry the temperature and the dice (`Sampler.rank`).

Of JSON Schema it enforces `ENFORCED`, to the letter, also side by side; it refuses what it has not
implemented, and passes over words that it does not know, and "patternProperties" of a name among
the "properties": both are refused here.  Tried out with
onnxruntime-genai 0.18: again in `tests/runtimes/onnx/test_guided.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aipc.errors import EngineError, UsageError
from aipc.runtimes.base import Constraint
from aipc.runtimes.json_schema import BOUNDS, NOTES, not_enforced, read_schema, subschemas
from aipc.runtimes.onnx.sampler import Scores
from aipc.runtimes.onnx.sequence import CachedSequence

ENGINE = "ONNX Runtime GenAI"
ENFORCED = BOUNDS | {
    *("$ref", "allOf", "anyOf", "const", "enum", "oneOf", "type"),
    *("additionalProperties", "properties", "required"),
    *("items", "maxItems", "minItems", "prefixItems", "maxProperties", "minProperties"),
    *("format", "maxLength", "minLength", "multipleOf", "pattern"),
}


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

    if constraint.kind == "json_schema":
        check_schema(constraint.text)
    try:
        params.set_guidance(constraint.kind, constraint.text)
        return onnxruntime_genai.Generator(model, params)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        kind = constraint.kind.replace("_", " ")
        raise UsageError(f"the {kind} can't be enforced: {reason}", "mend it") from error


def check_schema(text: str) -> None:
    """Refuse keywords that llguidance passes over.

    Raises:
        UsageError: naming the keyword and where it is, as a JSON pointer; or it is no schema.
    """
    for node, pointer in subschemas(read_schema(text)):
        for keyword in sorted(node.keys() - NOTES - ENFORCED):
            known = ", ".join(sorted(ENFORCED))
            raise not_enforced(
                f"'{keyword}'", pointer, ENGINE, f"leave it out; enforced are {known}"
            )
        if "multipleOf" in node and _is_negative(node):
            raise not_enforced("'multipleOf' of negative numbers", pointer, ENGINE, "leave it out")


def _is_negative(node: dict[str, Any]) -> bool:
    """Whether it allows no number from 0 on: of others no multiple is ever written."""
    try:
        return bool(node.get("maximum", 0) < 0 or node.get("exclusiveMaximum", 1) <= 0)
    except TypeError as error:
        raise UsageError(f"the schema is malformed ({error})", "see json-schema.org") from error


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
