"""``aipc devices``: the devices of this machine, and what `--device auto` takes."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.exclusions import refuse_beside
from aipc.cli.screen.output import (
    columns,
    notice,
    write_folded,
    write_json,
    write_line,
    write_table,
)
from aipc.errors import ArtifactError
from aipc.units import amount

if TYPE_CHECKING:
    from aipc.choose.measured import Tuned
    from aipc.choose.order import Explanation
    from aipc.devices.device import Device
    from aipc.devices.machine import Machine
    from aipc.devices.reach import Unreached

_LABEL = 9  # columns that the longest label and its space take


@click.command(cls=SectionedCommand)
@click.option("--explain", "wants_reasons", is_flag=True, help="What --device auto takes, and why.")
@click.option("--json", "wants_json", is_flag=True, help="One JSON object with every fact.")
@click.option("--ray", "wants_ray", is_flag=True, help="Flags that declare them to `ray start`.")
def devices(wants_reasons: bool, wants_json: bool, wants_ray: bool) -> None:
    """Show what this machine can compute with, as its runtimes see it.

    NAME is what --device takes, in lower case; a device without a name is here and no
    runtime reaches it, for the reason shown.
    """
    from aipc.devices.machine import this_machine

    if wants_ray:
        refuse_beside("--ray", {"wants_ray"})
    machine = this_machine()
    if wants_ray:
        from aipc.cluster.nodes import start_flags

        write_line(start_flags(machine.devices))
        return
    if wants_json:
        write_json(_facts(machine, wants_reasons=wants_reasons))
        return
    if wants_reasons:
        _write_reasons(machine)
    else:
        _write_machine(machine)
    for problem in (*machine.problems, *_store_problems()):
        notice(f"problem: {problem}")


def _store_problems() -> Iterator[str]:
    from aipc.models.store import Store, default_home

    try:
        Store(default_home()).check_writable()
    except ArtifactError as error:
        yield str(error)


def _facts(machine: Machine, *, wants_reasons: bool) -> dict[str, Any]:
    facts = dataclasses.asdict(machine)
    facts["problems"] = [*facts["problems"], *_store_problems()]
    if wants_reasons:
        from aipc.choose.order import explain

        order = explain(machine.devices, machine.adapters)
        facts["order"] = [dataclasses.asdict(one) for one in order]
        facts["tuned"] = [dataclasses.asdict(one) for one in _tuned()]
    return facts


def _write_machine(machine: Machine) -> None:
    rows = [*map(_row, machine.devices), *map(_unreached_row, machine.unreached)]
    if rows:
        write_table(("NAME", "DEVICE", "COMPUTES IN", "DRIVER", "MEMORY", "RUNTIMES"), rows)
        write_line()
    for line in _machine_lines(machine):
        write_line(line)


def _row(device: Device) -> tuple[str, ...]:
    return (
        device.name.lower(),
        device.full_name,
        " ".join(device.precisions),
        device.driver or "-",
        "-" if device.memory_bytes is None else amount(device.memory_bytes),
        " ".join(device.runtimes),
    )


def _unreached_row(one: Unreached) -> tuple[str, ...]:
    memory = one.adapter.memory_bytes
    return (
        "-",
        one.adapter.name,
        "",
        one.adapter.driver or "-",
        "-" if memory is None else amount(memory),
        f"none: {one.missing}",
    )


def _machine_lines(machine: Machine) -> list[str]:
    cpu, memory = machine.cpu, machine.memory
    cores = "" if cpu.physical_cores is None else f"{cpu.physical_cores} cores, "
    free = f", {amount(memory.available)} available"
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = (
        f"processor  {cpu.name}: {cores}{cpu.usable_threads} threads",
        f"           {' '.join(cpu.features) or 'no matrix instructions known'}",
        f"memory     {amount(memory.total)}{free}",
        f"system     {machine.system}, Python {machine.python}",
        f"versions   {versions or 'no runtime installed'}",
    )
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line,
            columns(),
            subsequent_indent=" " * 11,
            break_on_hyphens=False,
            break_long_words=False,
            drop_whitespace=True,
        )
    ]


def _write_reasons(machine: Machine) -> None:
    from aipc.choose.order import explain

    write_line("--device auto takes the first of these that is here and can run the model:")
    for at, one in enumerate(explain(machine.devices, machine.adapters), start=1):
        write_line()
        for line in _reasons(at, one):
            write_line(line)
    _write_tuned(machine)


def _write_tuned(machine: Machine) -> None:
    """What overrides that order, for the models that were measured."""
    from aipc.choose.measured import fingerprint

    found, now = _tuned(), fingerprint(machine.devices)
    if found:
        write_line()
        write_line("Measured here, which goes first for these models:")
    for one in found:
        changes = "; ".join(one.changes(now))
        state = f"not used any more: {changes}" if changes else one.why
        write_folded(f"- {one.label}: {one.setup}; {state}")


def _tuned() -> Sequence[Tuned]:
    from aipc.choose.measured import Records
    from aipc.models.store import Store, default_home

    found, wrong = Records(Store(default_home()).tuned).all()
    for error in wrong:
        notice(f"problem: {error}")
    return found


def _reasons(at: int, one: Explanation) -> list[str]:
    entry = one.place
    device = f"{entry.type} {entry.kind}".strip()
    lines = [f"{at}. {device}, through {entry.runtime}: {', '.join(one.devices) or '-'}"]
    for label, text in (("", one.state), ("for", entry.why), ("against", entry.but)):
        lines += textwrap.wrap(
            f"   {label:{_LABEL}}{text}",
            columns(),
            subsequent_indent=" " * (_LABEL + 3),
            break_on_hyphens=False,
            break_long_words=False,
        )
    return lines
