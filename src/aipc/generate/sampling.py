"""What was asked and what a model's makers state, made into a `Decoding`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aipc.artifact.files import GENERATION_CONFIG
from aipc.errors import CheckpointError, UsageError
from aipc.runtimes.base import Decoding
from aipc.runtimes.sampling import DRAW, Sampling, fold_seed

GIVEN, DRAWN = "given", "drawn"
"""Origins of a value: the user gave it; a seed that nobody gave."""

_SHARES = ("top_p", "top_k", "min_p")
"""What means nothing unless tokens are sampled."""
SAMPLED = ("temperature", *_SHARES)
"""The fields of `Sampling` that say how tokens are sampled."""
COLDEST = 1e-6
"""Lowest temperature that is sampled at: below it the likeliest token is certain, and the engines'
floats of 32 bits come to divide by 0."""
_PENALTIES = ("repetition_penalty", "presence_penalty", "frequency_penalty")
GREEDY: Mapping[str, Any] = {name: getattr(Decoding, name) for name in (*SAMPLED, *_PENALTIES)}
"""The likeliest token each time, whatever a model's makers state."""
_CONFIG = ("do_sample", *SAMPLED, "repetition_penalty")
"""What a generation_config.json can state here, as transformers names it."""


@dataclass(frozen=True)
class SamplingDefaults:
    """What somebody states for a model, taken where a request says nothing."""

    origin: str
    """Who, for people."""
    values: Mapping[str, Any]
    """Fields of `Sampling`, not checked, and ``do_sample``; without that one a temperature above 0
    has tokens sampled."""
    unthinking: Mapping[str, Any] = field(default_factory=dict)
    """The same for answers that are to come without thinking; empty where nothing else is stated
    of them."""

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> SamplingDefaults:
        """Those of generation_config.json's content: without ``do_sample`` it is greedy.

        transformers' own default top_k of 50 is not applied.
        """
        stated = {name: config[name] for name in _CONFIG if config.get(name) is not None}
        return cls(GENERATION_CONFIG, {"do_sample": False, **stated})

    def answering(self, *, thinks: bool) -> SamplingDefaults:
        """Those of answers that come with thinking or, where the model thinks, without it."""
        return self if thinks or not self.unthinking else replace(self, values=self.unthinking)

    @property
    def samples(self) -> bool | None:
        """Whether tokens are to be sampled; None where nothing is stated about it."""
        temperature = self.values.get("temperature")
        if "do_sample" in self.values:
            return self.values["do_sample"] is True and temperature != 0
        return None if temperature is None else temperature != 0


@dataclass(frozen=True)
class ResolvedSampling:
    """Every question answered; ``origins`` says by whom, of the values that are not neutral."""

    decoding: Decoding
    origins: Mapping[str, str]

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Ready for JSON: each value that is not neutral, and where it came from."""
        return {
            name: {"value": getattr(self.decoding, name), "origin": origin}
            for name, origin in self.origins.items()
        }

    def __str__(self) -> str:
        """Such as "temperature 0.2 (the catalogue), seed 123 (drawn)"."""
        values = [
            f"{name} {one['value']} ({one['origin']})" for name, one in self.as_dict().items()
        ]
        return ", ".join(values if self.decoding.temperature else ["greedy", *values])


def resolve(
    requested: Sampling, defaults: Sequence[SamplingDefaults], *, thinks: bool = True
) -> ResolvedSampling:
    """Answer every question that ``requested`` leaves open.

    A value requested comes first, then the first of ``defaults`` that has one, then the neutral
    one.  A temperature requested decides: 0 is greedy.  Without one it is greedy unless the
    defaults sample, or a top_p, top_k or min_p that is not off is requested, which would mean
    nothing.  A sampled decoding without a seed gets a random one, so that it can be stated.
    ``thinks`` is False where the request forbids thinking.

    Raises:
        CheckpointError: a value of the model's that is needed is out of bounds.
    """
    defaults = [one.answering(thinks=thinks) for one in defaults]
    is_sampled = _is_sampled(requested, defaults)
    names = (*SAMPLED, *_PENALTIES) if is_sampled else _PENALTIES
    found = {name: _choose(name, requested, defaults) for name in names}
    if is_sampled and not found["temperature"][0]:
        found["temperature"] = (1.0, "transformers' default")
    origins = {
        name: origin for name, (value, origin) in found.items() if value != getattr(Decoding, name)
    }
    if is_sampled:
        found["seed"] = _seed(requested)
        origins["seed"] = found["seed"][1]
    values = {name: value for name, (value, _) in found.items()}
    bias = {one: value for one, value in (requested.logit_bias or {}).items() if value}
    if bias:
        values["logit_bias"], origins["logit_bias"] = tuple(sorted(bias.items())), GIVEN
    return ResolvedSampling(Decoding(requested.max_new_tokens, **values), origins)


def _is_sampled(requested: Sampling, defaults: Sequence[SamplingDefaults]) -> bool:
    if requested.temperature is not None:
        return requested.temperature >= COLDEST
    if any(getattr(requested, name) not in {None, getattr(Decoding, name)} for name in _SHARES):
        return True
    return next((one.samples for one in defaults if one.samples is not None), False)


def _seed(requested: Sampling) -> tuple[int, str]:
    if requested.seed is None or requested.seed == DRAW:
        return secrets.randbelow(2**32), DRAWN
    return fold_seed(requested.seed), GIVEN


def _choose(
    name: str, requested: Sampling, defaults: Sequence[SamplingDefaults]
) -> tuple[Any, str]:
    own = getattr(requested, name)
    if own is not None:
        return own, GIVEN
    for one in defaults:
        value = one.values.get(name)
        if value is not None:
            _check(name, value, one.origin)
            return value, one.origin
    return getattr(Decoding, name), ""


def _check(name: str, value: Any, origin: str) -> None:
    try:
        Sampling(**{name: value})
    except UsageError as error:
        raise CheckpointError(
            f"for this model {origin} has {name} {value!r}: {error.what}",
            f"give --{name.replace('_', '-')} a value of your own",
        ) from error
