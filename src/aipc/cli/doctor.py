"""``aipc doctor``: what is wrong with this machine, and the fix."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.screen.output import columns, notice, write_json, write_line, write_table

if TYPE_CHECKING:
    from aipc.devices.checks import Check, CheckContext


_NARROW = 60
"""Columns below which the names of the checks go into the text."""


@click.command(cls=SectionedCommand)
@click.option("--json", "wants_json", is_flag=True, help="A JSON list of the checks.")
@click.pass_context
def doctor(context: click.Context, wants_json: bool) -> None:
    """Check drivers, permissions, packages, memory and disk; say what mends what is wrong.

    A "fail" keeps a device or a runtime from working, and the exit status is 1; a "warn"
    makes it slow, or leaves something unused.
    """
    from aipc.devices.checks import FAIL, run_checks

    checks = run_checks(_context())
    if wants_json:
        write_json([dataclasses.asdict(check) for check in checks])
    else:
        found = [f"{check.what}: {check.fix}" if check.fix else check.what for check in checks]
        if columns() < _NARROW:
            named = zip(checks, found, strict=True)
            rows = [(check.outcome, f"{check.name}: {text}") for check, text in named]
            write_table(("", "FOUND"), rows)
        else:
            about = zip(checks, found, strict=True)
            write_table(
                ("", "CHECK", "FOUND"), [(check.outcome, check.name, text) for check, text in about]
            )
        write_line()
        write_line(_summary(checks))
    is_bad = any(check.outcome == FAIL for check in checks)
    if not (is_bad or wants_json):
        notice("which models fit this machine: `aipc models --available`")
    context.exit(int(is_bad))


def _context() -> CheckContext:
    from aipc import disk
    from aipc.devices.checks import CheckContext
    from aipc.devices.machine import read_surroundings, this_machine
    from aipc.devices.quarantine import list_quarantined
    from aipc.models.store import Store, default_home

    home = default_home()
    room, refusal = disk.free(home), disk.refusal(home)
    wrong = tuple(one.words for one in list_quarantined(Store(home).quarantine))
    return CheckContext(
        this_machine(), read_surroundings(), str(home), room, refusal=refusal, quarantined=wrong
    )


def _summary(checks: tuple[Check, ...]) -> str:
    counts = {
        outcome: sum(check.outcome == outcome for check in checks)
        for outcome in ("fail", "warn", "pass")
    }
    if not counts["fail"] and not counts["warn"]:
        return f"all {len(checks)} checks pass"
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
