"""Which machines were measured: a page, and README's table of what runs where.

Both are made of the files of `aipc prove` in a folder: those directly in it are the project's own,
those in its folder ``users`` were sent by others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aipc.errors import MeasurementError, UsageError
from aipc.measure.prove.record import (
    EMULATED,
    MEASURED,
    NOT_TRIED,
    OK,
    SLOW,
    SOFTWARE,
    TIMED_OUT,
    DeviceProof,
    MachineProof,
    read_proof,
)
from aipc.measure.prove.summary import machine_line, model_line, noise, table
from aipc.records import replace_text
from aipc.tables import read_table

USERS = "users"
BUILT = "built, not run"
BEGIN, END = "<!-- made by `aipc report --hardware`: begin -->", "<!-- end -->"
_SAY_NOTHING = {NOT_TRIED, TIMED_OUT}
NOWHERE = "–"  # noqa: RUF001 - a dash in a table
_WORDS = {MEASURED: "measured", SOFTWARE: "computed on a software device", EMULATED: "emulated"}
_BY_USERS = "measured by users"
_RANKS = ("measured", _BY_USERS, _WORDS[SOFTWARE], _WORDS[EMULATED])
"""The strongest claim first."""


@dataclass(frozen=True)
class HardwareFile:
    name: str
    proof: MachineProof
    by_user: bool


@dataclass(frozen=True)
class HardwareRow:
    """One line of rows.toml."""

    device: str
    through: str
    kind: str
    runtime: str
    architectures: list[str]
    systems: list[str]
    shown_by: str
    optional: bool = False
    in_software: Sequence[str] = ()

    def holds(self, proof: MachineProof, one: DeviceProof) -> bool:
        fits = not self.architectures or proof.machine.architecture in self.architectures
        return fits and (one.kind, one.runtime) == (self.kind, self.runtime)


@cache
def rows() -> tuple[HardwareRow, ...]:
    """Every row, in the file's order."""
    return tuple(HardwareRow(**entry) for entry in _table()["row"])


def read_hardware(folder: Path) -> tuple[HardwareFile, ...]:
    """Every file of the folder, the newest first.

    Raises:
        UsageError: it holds none.
        MeasurementError: one of them is damaged, altered or no file of `aipc prove`.
    """
    found = [
        HardwareFile(file.name, read_proof(file), by_user)
        for where, by_user in ((folder, False), (folder / USERS, True))
        for file in sorted(where.glob("*.json"))
    ]
    if not found:
        raise UsageError(
            f"the folder '{folder}' holds no .json file", "put files of `aipc prove` into it"
        )
    return tuple(sorted(found, key=lambda one: one.proof.created, reverse=True))


def hardware_page(files: Sequence[HardwareFile]) -> str:
    """Of every machine what was found, by name, version and date."""
    return "\n".join(_page(files)) + "\n"


def what_runs_where(files: Sequence[HardwareFile]) -> str:
    """README's table: for each device and system the strongest claim of a file or of the tests."""
    systems: list[str] = _table()["systems"]
    seen = {_system(one.proof) for one in files}
    systems = [*systems, *sorted(seen - {*systems})]
    head = ("device", "through", *systems, "shown by")
    lines = [_line(head), _line(["---"] * len(head))]
    for row in rows():
        cells = [_cell(row, system, files) for system in systems]
        if not row.optional or set(cells) - {BUILT, NOWHERE}:
            lines.append(_line((row.device, row.through, *cells, row.shown_by)))
    return "\n".join(lines)


def update_readme(readme: Path, table_text: str) -> None:
    """Put the table between the two marks.

    Raises:
        MeasurementError: the file lacks the marks or can't be read.
    """
    try:
        text = readme.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MeasurementError(f"'{readme}' can't be read ({error})", "name another") from error
    if BEGIN not in text or END not in text.partition(BEGIN)[2]:
        fix = f"put the lines {BEGIN} and {END} where the table belongs"
        raise MeasurementError(f"'{readme}' has no place for the table", fix)
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    replace_text(readme, f"{before}{BEGIN}\n{table_text}\n{END}{after}")


def _page(files: Sequence[HardwareFile]) -> Iterator[str]:
    yield "# Measured machines"
    yield ""
    yield (
        "Made by `aipc report --hardware docs/hardware` of what [`aipc prove`](prove.md) wrote "
        "there; don't edit it."
    )
    for one in files:
        proof = one.proof
        yield ""
        yield f"## {proof.machine.processor}, {proof.machine.system}, {proof.created}"
        yield ""
        yield from table(proof)
        yield ""
        whose = "Measured by a user" if one.by_user else "Measured by this project"
        file = f"hardware/{USERS}/{one.name}" if one.by_user else f"hardware/{one.name}"
        yield f"{whose} with aipc {proof.aipc} ([figures]({file})). {model_line(proof)}"
        yield f"{machine_line(proof)}.{noise(proof)}"
        for each in proof.devices:
            yield from _notes(each)


def _notes(one: DeviceProof) -> Iterator[str]:
    if one.faults or one.cut or one.claim != MEASURED:
        yield ""
    for fault in one.faults:
        yield f"- {one.place}: **{fault.kind}**: {fault.words}"
    if one.claim != MEASURED:
        yield f"- {one.place}: {_WORDS[one.claim]}; its speed is the CPU's"
    if one.cut:
        yield f"- {one.place}: not tried: {'; '.join(one.cut)}"


def _cell(row: HardwareRow, system: str, files: Sequence[HardwareFile]) -> str:
    claims = [
        (_claim(file, one), one.verdict in {OK, SLOW})
        for file in files
        for one in file.proof.devices
        if row.holds(file.proof, one) and one.verdict not in _SAY_NOTHING
        if _system(file.proof) == system
    ]
    if not claims and system in row.in_software:
        return _WORDS[SOFTWARE]
    if not claims:
        return BUILT if system in row.systems else NOWHERE
    right = [claim for claim, is_right in claims if is_right]
    if right:
        return min(right, key=_RANKS.index)
    return f"{min((claim for claim, _ in claims), key=_RANKS.index)}: does not work"


def _claim(file: HardwareFile, one: DeviceProof) -> str:
    return _BY_USERS if file.by_user and one.claim == MEASURED else _WORDS[one.claim]


def _system(proof: MachineProof) -> str:
    """Linux, Windows or macOS; a distribution's name is Linux."""
    name = re.match(r"Windows|macOS", proof.machine.system)
    return name[0] if name else "Linux"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |" if cells[0] != "---" else f"|{'|'.join(cells)}|"


def _table() -> dict[str, Any]:
    return read_table(__package__, "rows.toml")
