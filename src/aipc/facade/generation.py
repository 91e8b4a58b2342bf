"""The arguments of transformers' ``generate``, made into an order for a `Session`.

The priority is transformers' own: keyword arguments, then a ``generation_config`` given,
then the model's.  What is requested and can't be had is refused by name; a value that the
model's own generation_config.json brings along and no runtime here knows is not requested.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aipc.errors import UsageError
from aipc.generate import GREEDY, SAMPLED

_HONORED = {
    *SAMPLED,
    "do_sample",
    "repetition_penalty",
    "max_new_tokens",
    "max_length",
    "eos_token_id",
    "pad_token_id",
    "stop_strings",
}
_BESIDE = {
    "assistant_model",
    "logits_processor",
    "prefix_allowed_tokens_fn",
    "synced_gpus",
    "tokenizer",
}
"""Arguments of transformers' ``generate`` that are no generation parameters."""
_NEEDLESS = {"bos_token_id", "decoder_start_token_id", "tokenizer", "transformers_version"}
"""Have no effect on an answer to a prompt of token ids."""
_NEUTRAL = {
    "encoder_repetition_penalty": 1,
    "length_penalty": 1,
    "num_beam_groups": 1,
    "num_beams": 1,
    "num_return_sequences": 1,
    "typical_p": 1,
    "use_cache": True,
}
"""Values that ask for nothing; of every other argument these are 0, False and empty."""
_INSTEAD = {
    "num_beams": "leave it out: tokens are sampled, or the likeliest is taken",
    "num_return_sequences": "give the prompt several times",
    "min_new_tokens": "leave it out",
    "logits_processor": "leave it out: scores stay in the device's runtime",
    "assistant_model": "leave it out",
    "use_cache": "leave it out: every runtime keeps the keys and values",
}
_OFF = {**GREEDY, "temperature": 1.0, "do_sample": False}
"""What None asks for: transformers then leaves the step out, whatever the model's config has."""
TOP_K = 50
"""What transformers takes when sampling and neither the model nor the program says."""
MAX_NEW_TOKENS = 1024


@dataclass(frozen=True)
class GenerateArguments:
    """What one call of ``generate`` asks for."""

    sampling: Mapping[str, Any]
    """Fields of `Sampling`, without a seed; nothing is left to the model's own defaults here."""
    stop: tuple[str, ...]
    stop_ids: frozenset[int] | None
    """None: the model's own."""
    pad_id: int
    """Fills the shorter answers of a batch."""
    is_sampled: bool


def check_names(parameters: Collection[str], known: Collection[str]) -> None:
    """Refuse what is no argument of transformers' ``generate``, whatever its value.

    ``known`` are the names of transformers' generation parameters.

    Raises:
        UsageError: naming the first, and the nearest that is one.
    """
    known = {*known, *_BESIDE}
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean '{near[0]}'?" if near else "leave it out"
            raise UsageError(f"generate does not take '{name}'", fix)


def read_order(
    parameters: Mapping[str, Any], own: Mapping[str, Any], length: int
) -> GenerateArguments:
    """An order from what the program asks and the model's ``own`` generation config.

    Both are transformers' generation parameters by name.  A None of the program's switches off a
    parameter of sampling; any other None asks for nothing.  ``length`` is the tokens of the prompt,
    padding included, which ``max_length`` counts.

    Raises:
        UsageError: something asked that can't be had.
    """
    parameters = {
        name: _OFF[name] if value is None else value
        for name, value in parameters.items()
        if value is not None or name in _OFF
    }
    _refuse(parameters)
    settings = {**own, **parameters}
    sampling = {**GREEDY, "repetition_penalty": settings.get("repetition_penalty", 1.0)}
    is_sampled = bool(settings.get("do_sample"))
    if is_sampled:
        sampling |= {"temperature": 1.0, "top_k": TOP_K}
        sampling |= {name: settings[name] for name in SAMPLED if name in settings}
    else:
        _warn_greedy([name for name in SAMPLED if parameters.get(name, _OFF[name]) != _OFF[name]])
    sampling["max_new_tokens"] = _max_new_tokens(parameters, own, length)
    stop_ids = frozenset(_ids(parameters["eos_token_id"])) if "eos_token_id" in parameters else None
    return GenerateArguments(sampling, _stop(parameters), stop_ids, _pad_id(settings), is_sampled)


def _refuse(parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        if name in _HONORED or name in _NEEDLESS:
            continue
        if (value != _NEUTRAL[name]) if name in _NEUTRAL else bool(value):
            fix = _INSTEAD.get(name, f"leave it out; honored: {', '.join(sorted(_HONORED))}")
            raise UsageError(f"generate can't honor {name}={value!r} here", fix)


def _warn_greedy(needless: list[str]) -> None:
    if needless:
        warnings.warn(
            f"without do_sample=True the likeliest token is taken; {', '.join(needless)} "
            "has no effect",
            stacklevel=5,
        )


def _max_new_tokens(parameters: Mapping[str, Any], own: Mapping[str, Any], length: int) -> int:
    for settings in (parameters, own):
        if "max_new_tokens" in settings:
            return int(settings["max_new_tokens"])
        if "max_length" in settings:
            return _left(int(settings["max_length"]), length)
    return MAX_NEW_TOKENS


def _left(max_length: int, length: int) -> int:
    if max_length <= length:
        raise UsageError(
            f"max_length={max_length} leaves no answer after a prompt of {length} tokens",
            "say max_new_tokens",
        )
    return max_length - length


def _stop(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    texts = parameters.get("stop_strings", ())
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _pad_id(settings: Mapping[str, Any]) -> int:
    """As transformers: without a token for it, the first that ends an answer."""
    if "pad_token_id" in settings:
        return int(settings["pad_token_id"])
    return next(iter(_ids(settings.get("eos_token_id", 0))), 0)


def _ids(stated: Any) -> list[int]:
    """One id or several, in a list or a tensor."""
    plain = stated.tolist() if hasattr(stated, "tolist") else stated
    return [int(token) for token in (plain if isinstance(plain, list | tuple) else [plain])]
