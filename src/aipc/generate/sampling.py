"""What was asked and what the model's own generation config says, made into a `Decoding`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from aipc.errors import CheckpointError, UsageError
from aipc.runtimes.base import Decoding, Sampling


def resolve(requested: Sampling, generation_config: Mapping[str, Any]) -> Decoding:
    """Answer every question that ``requested`` leaves open.

    ``generation_config`` is the content of generation_config.json: do_sample, temperature,
    top_p, top_k and repetition_penalty, as transformers defines them.  A value requested
    comes first, then the model's, then the neutral one (transformers' own default top_k
    of 50 is not applied).

    A temperature requested decides: 0 is greedy.  Without one it is greedy unless the
    model's do_sample is true, or a top_p or top_k is requested, which would mean nothing.
    A sampled decoding without a seed gets a random one, so that it can be stated.

    Raises:
        CheckpointError: a value of the model's that is needed is out of bounds.
    """
    penalty = _choose("repetition_penalty", 1.0, requested, generation_config)
    if not _is_sampled(requested, generation_config):
        return Decoding(
            requested.max_new_tokens, repetition_penalty=penalty, seed=requested.seed or 0
        )
    return Decoding(
        max_new_tokens=requested.max_new_tokens,
        temperature=_choose("temperature", 1.0, requested, generation_config),
        top_p=_choose("top_p", 1.0, requested, generation_config),
        top_k=_choose("top_k", 0, requested, generation_config),
        repetition_penalty=penalty,
        seed=secrets.randbelow(2**32) if requested.seed is None else requested.seed,
    )


def _is_sampled(requested: Sampling, config: Mapping[str, Any]) -> bool:
    if requested.temperature is not None:
        return requested.temperature > 0
    if requested.top_p is not None or requested.top_k is not None:
        return True
    return config.get("do_sample") is True


def _choose(name: str, neutral: float, requested: Sampling, config: Mapping[str, Any]) -> Any:
    own = getattr(requested, name)
    if own is not None:
        return own
    value = config.get(name)
    if value is None:
        return neutral
    try:
        Sampling(**{name: value})
    except UsageError as error:
        raise CheckpointError(
            f"the model's generation_config.json has {name} {value!r}: {error.what}",
            f"give --{name.replace('_', '-')} a value of your own",
        ) from error
    return value
