"""aipc itself: a session, loaded as by a program that embeds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Run = Callable[[Sequence[Sequence[int]], int], Sequence[Sequence[float]]]


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Run]:
    """``options`` are the arguments of `aipc.load`, as plain data."""
    import aipc
    from aipc.convert.recipe import Recipe
    from aipc.measure.bench.timing import session_answers, time_answers
    from aipc.models.store import Store
    from aipc.runtimes.openvino.static_shape import NpuOptions

    recipe = options["recipe"]
    objects = {
        "recipe": None if recipe is None else Recipe(**recipe),
        "npu": NpuOptions(**options["npu"]),
        "store": Store(Path(options["store"])),
    }
    session = aipc.load(options["model"], **{**_plain(options), **objects})
    answer, facts = session_answers(session), session.facts
    shown = {name: facts[name] for name in ("device", "runtime", "properties")}
    shown["versions"] = {"aipc": aipc.__version__, facts["runtime"]: facts["version"]}
    return shown, lambda prompts, tokens: time_answers(answer, prompts, tokens).times


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "model"}
