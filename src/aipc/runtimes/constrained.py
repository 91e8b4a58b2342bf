"""What a constrained request has to have, whichever runtime enforces its constraint."""

from __future__ import annotations

from aipc.errors import UsageError
from aipc.runtimes.base import Decoding


def check_constrained(
    decoding: Decoding, prompt: int, stop_ids: frozenset[int], switch: int | None
) -> None:
    """Refuse a constraint on a request that could not keep it to its end.

    ``prompt`` is its length in tokens, ``switch`` the one past which the model's rotary
    embedding takes other factors: there the answer is begun anew, and a constraint with it.

    Raises:
        UsageError: no stop id, or an answer that may lead past the switch.
    """
    if decoding.constraint is None:
        return
    if not stop_ids:
        raise UsageError(
            "a constraint needs a token to end with, and the model has no stop id",
            "add eos_token_id to its generation_config.json",
        )
    if switch is not None and prompt <= switch < prompt + decoding.max_new_tokens - 1:
        raise UsageError(
            f"a constraint can't be kept past {switch:,} tokens, where this model changes its "
            f"rotary factors, and prompt and answer may have {prompt + decoding.max_new_tokens:,}",
            f"lower --max-new-tokens to {switch - prompt + 1:,}",
        )
