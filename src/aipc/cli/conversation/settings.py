"""The sampling options of a chat, changed while it goes on; validated as everywhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

from aipc.cli.answering.answer import read_sampling
from aipc.cli.arguments.option_flags import read_pairs
from aipc.errors import UsageError
from aipc.options import Option, describe, from_mapping
from aipc.runtimes.sampling import Sampling

DEFAULT = "default"
"""In place of a value: the model's own choice again."""
_OPTIONS = {declared.name: declared for declared in describe(Sampling)}
NAMES = tuple(_OPTIONS)
_PAIR = re.compile(r"(?:--)?(?P<name>[\w-]+)(?:\s*=\s*|\s+)(?P<value>\S.*)")


class SamplingSettings:
    """What was given, on the command line and by ``/set``; ``given`` is changed in place."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given

    def set(self, argument: str) -> str:
        """Carry out "NAME VALUE", "NAME=VALUE" or "NAME default"; what is so now, in words.

        Raises:
            UsageError: an option that there is not, or a value that it does not take.
        """
        name, value = _split(argument)
        declared = _OPTIONS.get(name)
        if declared is None:
            from_mapping(Sampling, {name: None})  # refuses it, with the nearest name
            raise AssertionError
        if value.lower() == DEFAULT:
            self.given.pop(name, None)
            return f"{name} as it was by itself"
        read = _read(declared, value)
        from_mapping(Sampling, {name: read})
        self.given[name] = read
        return f"{name} {value}"

    def lines(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """What is given, and by what tokens are chosen; ``facts`` are a session's."""
        for declared in _OPTIONS.values():
            given = self.given.get(declared.name)
            yield f"{declared.name:20}{'-' if given is None else given!s:>12}  {declared.help}"
        sampled = {name: self.given[name] for name in NAMES if name in self.given}
        sampling = read_sampling(sampled, facts, self.given)
        if sampling is not None:
            yield f"tokens are chosen by {sampling}"

    def is_greedy(self, facts: Mapping[str, Any]) -> bool:
        """Whether the same question gets the same answer, as far as it is known."""
        sampled = {name: self.given[name] for name in NAMES if name in self.given}
        sampling = read_sampling(sampled, facts, self.given)
        return sampling is not None and not sampling.decoding.temperature


def _split(argument: str) -> tuple[str, str]:
    found = _PAIR.fullmatch(argument.strip())
    if found is None:
        raise UsageError("/set takes an option and a value", "/set temperature 0.7")
    return found["name"].replace("-", "_").lower(), found["value"]


def _read(declared: Option, text: str) -> Any:
    try:
        if declared.kind is Mapping:
            return read_pairs(text.split())
        return declared.kind(text)
    except (ValueError, click.BadParameter) as error:
        kinds = {int: "a whole number", float: "a number"}
        wanted = kinds.get(declared.kind, "ID=X, such as 15043=-100")
        raise UsageError(f"{declared.name} can't be '{text}'", f"it takes {wanted}") from error
