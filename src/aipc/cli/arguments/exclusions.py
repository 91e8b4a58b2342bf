"""Options that would have no effect beside others: refused, never dropped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import click
from click.core import ParameterSource

from aipc.errors import UsageError
from aipc.options import describe
from aipc.runtimes.openvino.static_shape import NpuOptions

_ALWAYS = {"debug"}
_OF_NPU = ("emulate", "overflow", *(declared.name for declared in describe(NpuOptions)))
_SHARES = {"top_p": 1.0, "top_k": 0, "min_p": 0.0}
"""What samples, each with the value that is off."""


def refuse_beside(flag: str, own: Collection[str]) -> None:
    """Refuse what was written beside ``flag``, which does something else than the command.

    ``own`` are the names of the parameters that have an effect there, the flag's among them.

    Raises:
        UsageError: naming the first of the others.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        is_written = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_written and name not in {*own, *_ALWAYS}:
            is_option = isinstance(parameter, click.Option)
            shown = max(parameter.opts, key=len) if is_option else "MODEL"
            what = f"{shown} has no effect beside {flag}"
            raise UsageError(what, "leave one of the two out")


def check_device(flags: Mapping[str, Any]) -> None:
    """Refuse the NPU's options where another device is named.

    Raises:
        UsageError: naming the first of them.
    """
    device = str(flags["device"]).strip().lower()
    idle = [name for name in _OF_NPU if flags.get(name) not in {None, False}]
    if device not in {"auto", "npu"} and idle:
        flag = f"--{idle[0].replace('_', '-')}"
        what = f"{flag} is for the NPU, and the device is '{flags['device']}'"
        raise UsageError(what, "give --device npu with it, or leave it out")


def check_sampling(flags: Mapping[str, Any]) -> None:
    """Refuse what chooses among likely tokens where the likeliest is taken; a seed does no harm.

    Raises:
        UsageError: naming the first of them.
    """
    if flags.get("temperature") != 0:
        return
    for name, off in _SHARES.items():
        if flags.get(name) not in {None, off}:
            what = f"--{name.replace('_', '-')} means nothing with --temperature 0"
            raise UsageError(f"{what}, which takes the likeliest token", "leave one of them out")


def check_thinking(flags: Mapping[str, Any]) -> None:
    """Refuse how much to think where no thinking is wanted.

    Raises:
        UsageError: naming the first of them.
    """
    amounts = {"thinking_budget": 0, "reasoning_effort": "none"}
    for name, nothing in amounts.items():
        if flags["think"] is False and flags[name] not in {None, nothing}:
            what = f"--{name.replace('_', '-')} means nothing with --no-think"
            raise UsageError(what, "leave one of them out")
