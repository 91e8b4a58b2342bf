"""``aipc doctor``: what is wrong with this machine, and the fix."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from aipc.cli.output import write_json, write_line, write_table

if TYPE_CHECKING:
    from aipc.devices.checks import Check, CheckContext


@click.command()
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
        rows = [
            (check.outcome, check.name, f"{check.what}: {check.fix}" if check.fix else check.what)
            for check in checks
        ]
        write_table(("", "CHECK", "FOUND"), rows)
        write_line()
        write_line(_summary(checks))
    context.exit(int(any(check.outcome == FAIL for check in checks)))


def _context() -> CheckContext:
    from aipc import disk
    from aipc.devices.checks import CheckContext
    from aipc.devices.machine import read_surroundings, this_machine
    from aipc.models.store import Store

    home = Store().home
    return CheckContext(this_machine(), read_surroundings(), str(home), disk.free(home))


def _summary(checks: tuple[Check, ...]) -> str:
    counts = {
        outcome: sum(check.outcome == outcome for check in checks)
        for outcome in ("fail", "warn", "pass")
    }
    if not counts["fail"] and not counts["warn"]:
        return f"all {len(checks)} checks pass"
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
