"""The command that measures the same again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import PurePath

from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.measure.bench.result import Participant, Result
from aipc.models.catalogue import CATALOGUE


def command(result: Result) -> str:
    """A line for a shell; a text that prompts were cut from is called FILE."""
    first, *peers = result.participants
    parts = [
        "aipc",
        "bench",
        short_name(result.model),
        *_lengths(result),
        *_setup(first, result.model),
    ]
    for peer in peers:
        parts += ["--peer", peer.name]
    return shlex.join(parts)


def short_name(label: str) -> str:
    """Of a model with this label, where it has one; other labels are names as they are."""
    known = {CATALOGUE[name].source.label: name for name in CATALOGUE}
    return known.get(label, label)


def _lengths(result: Result) -> Iterator[str]:
    work = result.workload
    for flag, values in (
        ("--prompt", work.prompts),
        ("--tokens", work.outputs),
        ("--batch", work.batches),
    ):
        yield from (flag, ",".join(map(str, values)))
    if work.text_sha256 is not None:
        yield from ("--text", "FILE")
    yield from ("--repeats", str(work.repeats))
    yield from ("--loads", str(max(len(one.loads) for one in result.participants)))
    yield from ("--seed", str(work.seed))


def _setup(first: Participant, model: str) -> list[str]:
    """An artifact of the user's own has its weights already."""
    setup = Setup(first.runtime, first.device, _recipe(first, model), first.properties)
    return setup.flags.split()


def _recipe(first: Participant, model: str) -> Recipe | None:
    recipe = first.artifact.recipe
    is_artifact = PurePath(model).name == first.artifact.name
    if is_artifact or not recipe or set(recipe) != {field.name for field in fields(Recipe)}:
        return None
    return Recipe(**recipe)
