"""``aipc top``: how busy the devices are, and how fast the sessions on them."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.screen.output import fitting, write_json, write_line, write_table
from aipc.units import amount

if TYPE_CHECKING:
    from aipc.devices.counters.counter import Reading
    from aipc.devices.counters.monitor import SessionLoad, Snapshot

_DEVICES = ("DEVICE", "BUSY", "MEMORY", "POWER", "CLOCK", "NAME")
_SESSIONS = ("SESSION", "DEVICE", "TOKENS/S", "TOKENS", "GPU", "MODEL")
_RIGHT = {"BUSY", "MEMORY", "POWER", "CLOCK", "TOKENS/S", "TOKENS", "GPU"}
_ABSENT = "-"
_FIRST_S = 0.5


@click.command(cls=SectionedCommand)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two readings.",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    metavar="N",
    help="Stop after so many readings; 1 where stdout is no terminal.",
)
@click.option("--json", "wants_json", is_flag=True, help="One JSON object a reading, each a line.")
def top(interval: float, count: int | None, wants_json: bool) -> None:
    """Watch the load of NPU, GPU, CPU and memory, and the speed of running sessions.

    A dash is a value that this system does not report; see docs/devices.md for where each comes
    from. Ctrl-C ends it.
    """
    is_live = sys.stdout.isatty() and not wants_json and count is None
    snapshots = _snapshots(interval, count if count or is_live else 1)
    if is_live:
        _show_live(snapshots)
        return
    for at, snapshot in enumerate(snapshots):
        if wants_json:
            write_json(snapshot.facts)
            continue
        if at:
            write_line()
        for columns, rows in _tables(snapshot):
            write_table(columns, rows, right=_RIGHT)


def _snapshots(interval: float, count: int | None) -> Iterator[Snapshot]:
    """``count`` of them, or without end; the first after a moment, as rates take two readings."""
    from aipc.devices.counters.monitor import Monitor
    from aipc.devices.counters.watch import find_counters
    from aipc.models.store import Store

    monitor = Monitor(find_counters(), Store().home / "running")
    monitor.snapshot()
    time.sleep(min(interval, _FIRST_S))
    yield monitor.snapshot()
    for _ in itertools.count() if count is None else range(count - 1):
        time.sleep(interval)
        yield monitor.snapshot()


def _show_live(snapshots: Iterator[Snapshot]) -> None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.table import Table

    def picture(snapshot: Snapshot) -> Group:
        drawn = []
        for columns, rows in _tables(snapshot):
            table = Table(box=None, pad_edge=False)
            kept = fitting(columns, rows)
            for column in (columns[at] for at in kept):
                table.add_column(column, justify="right" if column in _RIGHT else "left")
            for row in rows:
                table.add_row(*(row[at] for at in kept))
            drawn.append(table)
        return Group(*drawn)

    console = Console(markup=False, highlight=False, emoji=False)
    try:
        with Live(console=console, auto_refresh=False) as live:
            for snapshot in snapshots:
                live.update(picture(snapshot), refresh=True)
    except KeyboardInterrupt:
        return


def _tables(snapshot: Snapshot) -> Iterator[tuple[Sequence[str], list[tuple[str, ...]]]]:
    yield _DEVICES, [*map(_device_row, snapshot.readings), _memory_row(snapshot)]
    if snapshot.sessions:
        yield _SESSIONS, [_session_row(one, snapshot.time) for one in snapshot.sessions]


def _device_row(reading: Reading) -> tuple[str, ...]:
    used, total = reading.memory_used_bytes, reading.memory_total_bytes
    memory = _shown(used, amount)
    if total is not None and used is not None:
        memory += f" of {amount(total)}"
    return (
        reading.kind,
        _percent(reading.busy_share),
        memory,
        _shown(reading.power_w, lambda watts: f"{watts:.1f} W"),
        _shown(reading.frequency_mhz, lambda mhz: f"{mhz:.0f} MHz"),
        reading.name,
    )


def _memory_row(snapshot: Snapshot) -> tuple[str, ...]:
    memory = snapshot.memory
    used = memory.total - memory.available
    shown = f"{amount(used)} of {amount(memory.total)}"
    return "memory", _percent(used / memory.total), shown, _ABSENT, _ABSENT, "the machine's"


def _session_row(one: SessionLoad, now: float) -> tuple[str, ...]:
    session = one.session
    idle = _ABSENT if session.answers else "idle"
    speed = one.speed(now)
    return (
        str(session.pid),
        session.device.lower(),
        idle if speed is None else f"{speed:.1f}",
        f"{session.tokens:,}",
        _percent(None if one.gpu is None else one.gpu.busy_share),
        session.model,
    )


def _percent(share: float | None) -> str:
    return _shown(share, lambda value: f"{value:.0%}")


def _shown(value: Any, form: Any) -> str:
    return _ABSENT if value is None else str(form(value))
