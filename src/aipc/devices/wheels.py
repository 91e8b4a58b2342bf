"""Which of the runtimes' packages are installed, which of them break each other, and the fix.

Read from the names of the packages' folders, NAME-VERSION.dist-info, and their lists of files:
nothing is imported, not even importlib.metadata, with which this took 0.1 s of each start.
"""

from __future__ import annotations

import platform
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aipc import remedies
from aipc.devices.system.files import read_text
from aipc.tables import read_table

_FOLDER = ".dist-info"
_OLD_PYTHON = "take Python 3.11 or newer, then " if sys.version_info < (3, 11) else ""
"""For ONNX Runtime, of which Python 3.10 has no wheel."""


@dataclass(frozen=True)
class Clash:
    """``packages`` that can't be together, or can't be alone; ``fix`` has the commands."""

    packages: tuple[str, ...]
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}"


@dataclass(frozen=True)
class WheelSet:
    """One set of wheels.toml: packages that bring ONNX Runtime to some kinds of device."""

    name: str
    kinds: tuple[str, ...]
    systems: tuple[str, ...]
    not_on: tuple[str, ...]
    pins: tuple[str, ...]
    source: str

    @property
    def packages(self) -> tuple[str, ...]:
        """The pins' names, without version."""
        return tuple(map(_package, self.pins))


def installed() -> Mapping[str, str]:
    """Package → version, of those in wheels.toml that are installed here."""
    known = [package for group in _modules().values() for package in group]
    known += [pair["package"] for pair in _table()["pair"]]
    folders = _folders()
    return {one: _version(folders[one]) for one in dict.fromkeys(known) if one in folders}


def clashes(found: Mapping[str, str] | None = None) -> tuple[Clash, ...]:
    """What is wrong with ``found`` (`installed()`, when left out), worst first."""
    here = installed() if found is None else found
    lost = _lost_files() if found is None else ()
    return (*_doubles(here), *lost, *_unpaired(here), *_misfits(here))


def wheel_sets() -> tuple[WheelSet, ...]:
    """Every set of wheels.toml, in its order: the first is the default install's."""
    return tuple(
        WheelSet(
            entry["name"],
            kinds=tuple(entry["kinds"]),
            systems=tuple(entry["systems"]),
            not_on=tuple(entry.get("not_on", ())),
            pins=tuple(entry["pins"]),
            source=entry["source"],
        )
        for entry in _table()["set"]
    )


def wheel_for(kind: str, system: str | None = None, machine: str | None = None) -> str | None:
    """The set that brings ONNX Runtime to devices of this kind; None where there is none.

    ``system`` and ``machine`` are names as `platform.system` and `platform.machine` return them;
    this machine's when left out.  Of another system the processor has to be told, else its most
    common one is meant.
    """
    system, place = system or platform.system(), _place(system, machine)
    for one in wheel_sets():
        if one.kinds[-1] == kind and system in one.systems and place not in one.not_on:
            return one.name
    return None


def has_wheels(module: str, system: str | None = None, machine: str | None = None) -> bool:
    """Whether a module of wheels.toml exists here, or there, told as `wheel_for` is."""
    entry = next(entry for entry in _table()["module"] if entry["name"] == module)
    return _place(system, machine) not in entry.get("not_on", ())


def _place(system: str | None, machine: str | None) -> str:
    if machine is None and system in {None, platform.system()}:
        machine = platform.machine()
    return f"{system or platform.system()} {machine}"


def install_command(name: str, found: Mapping[str, str] | None = None) -> str:
    """How to get this set here: packages that it can't be beside are removed first."""
    here = installed() if found is None else found
    wanted = next(one for one in wheel_sets() if one.name == name)
    shared = _shared(wanted, here)
    # Whole, and asked for all the same: it does not load.
    if set(shared) <= set(wanted.packages) and not set(wanted.packages) <= set(here):
        return _OLD_PYTHON + _install(wanted, here)
    return _OLD_PYTHON + remedies.replace(shared, wanted.pins)


def is_whole(name: str, found: Mapping[str, str] | None = None) -> bool:
    """Whether this set is here, and nothing that it can't be beside."""
    here = installed() if found is None else found
    wanted = next(one for one in wheel_sets() if one.name == name)
    return set(_shared(wanted, here)) <= set(wanted.packages) <= set(here)


def _doubles(found: Mapping[str, str]) -> Iterator[Clash]:
    for module, packages in _modules().items():
        here = [package for package in packages if package in found]
        if len(here) > 1:
            listed = " and ".join(f"{package} {found[package]}" for package in here)
            yield Clash(
                tuple(here),
                f"{listed} write into one folder, '{module}': "
                "what runs is a mixture, often without its accelerator",
                _mend(here, found),
            )


def _unpaired(found: Mapping[str, str]) -> Iterator[Clash]:
    """Packages without the one that they work with."""
    for pair in _table()["pair"]:
        package, needs = pair["package"], pair["needs"]
        if package in found and needs not in found and len(_siblings(package, found)) < 2:
            yield Clash(
                (package, needs),
                f"{package} {found[package]} is here without {needs}, the one it works with",
                _mend([package, *_siblings(needs, found)], found),
            )


def _misfits(found: Mapping[str, str]) -> Iterator[Clash]:
    """Pairs of different releases: OpenVINO 2026.4.1 and GenAI 2026.4.1.0 are one release."""
    pairs = [pair for pair in _table()["pair"] if pair.get("same_release")]
    one_release = dict.fromkeys(pair[part] for pair in pairs for part in ("needs", "package"))
    for pair in pairs:
        package, needs = pair["package"], pair["needs"]
        if package not in found or needs not in found:
            continue
        if found[package].split(".")[:3] != found[needs].split(".")[:3]:
            yield Clash(
                (package, needs),
                f"{package} {found[package]} does not belong to {needs} {found[needs]}",
                f"{remedies.put_own(*one_release)} brings the versions that belong together",
            )


def _lost_files() -> Iterator[Clash]:
    folders = _folders()
    for module, packages in _modules().items():
        for package in packages:
            if package in folders and not _has_files(folders[package], module):
                yield Clash(
                    (package,),
                    f"{package} is listed as installed and its files are gone: another package "
                    f"that writes into '{module}' was removed",
                    _mend([package], installed()),
                )


def _has_files(folder: Path, module: str) -> bool:
    """Whether the files of ``module`` are there, as far as RECORD lists them.

    It lists none for an install in place, whose files are wherever its owner keeps them.
    """
    first = f"{module}/__init__.py"
    is_listed = f"\n{first}," in "\n" + (read_text(folder / "RECORD") or "")
    return not is_listed or (folder.parent / first).is_file()


def _mend(packages: list[str], found: Mapping[str, str]) -> str:
    """Removing one package takes the files that it shares with another: all go, then come back."""
    wanted = _set_of(packages)
    if wanted is None:
        return remedies.reinstall_own(*packages)
    return remedies.replace(_shared(wanted, found), wanted.pins)


def _install(wanted: WheelSet, found: Mapping[str, str]) -> str:
    """What is more than the default set stays; what takes its place goes at the next upgrade."""
    missing = [pin for pin in wanted.pins if _package(pin) not in found]
    default = wheel_sets()[0].pins
    is_more = set(default) <= set(wanted.pins) and not set(default) & set(missing)
    return remedies.add(missing) if is_more else remedies.put(missing)


def _set_of(packages: list[str]) -> WheelSet | None:
    """The most able set that one of these belongs to: its wheels compute on the CPU too."""
    owned = Counter(package for one in wheel_sets() for package in one.packages)
    for one in sorted(wheel_sets(), key=lambda one: -len(one.kinds)):
        if any(package in one.packages and owned[package] == 1 for package in packages):
            return one
    is_onnx = any(package.startswith("onnxruntime") for package in packages)
    return wheel_sets()[0] if is_onnx else None


def _shared(wanted: WheelSet, found: Mapping[str, str]) -> list[str]:
    """Those of ``found`` that write into a folder of the set's own."""
    groups = [group for group in _modules().values() if set(group) & set(wanted.packages)]
    return [package for group in groups for package in group if package in found]


def _siblings(package: str, found: Mapping[str, str]) -> list[str]:
    group = next((group for group in _modules().values() if package in group), ())
    return [sibling for sibling in group if sibling in found]


def _modules() -> Mapping[str, tuple[str, ...]]:
    return {entry["name"]: tuple(entry["packages"]) for entry in _table()["module"]}


@cache
def _table() -> Mapping[str, Any]:
    return read_table(__package__, "wheels.toml")


def _package(pin: str) -> str:
    """The name in "onnxruntime==1.31.1"."""
    return re.split(r"[=<>\[]", pin)[0]


def _folders() -> Mapping[str, Path]:
    """Package → its folder with what is known of it; the first on the path counts, as in imports.

    The folder's name: packaging.python.org, "Recording installed projects".
    """
    found: dict[str, Path] = {}
    for place in sys.path:
        for folder in Path(place).glob(f"*{_FOLDER}"):
            package = re.sub("[-_.]+", "-", folder.name.partition("-")[0]).lower()
            found.setdefault(package, folder)
    return found


def _version(folder: Path) -> str:
    return folder.name.removesuffix(_FOLDER).partition("-")[2]
