"""Which of the runtimes' packages are installed, which of them break each other, and the fix.

Read from the installed packages' metadata alone: nothing is imported.
"""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aipc.tables import read_table


@dataclass(frozen=True)
class Clash:
    """``packages`` that can't be together, or can't be alone; ``fix`` has the commands."""

    packages: tuple[str, ...]
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}"


@dataclass(frozen=True)
class Extra:
    """One entry of wheels.toml: what ``pip install "aipc[name]"`` adds."""

    name: str
    kinds: tuple[str, ...]
    systems: tuple[str, ...]
    pins: tuple[str, ...]
    source: str

    @property
    def packages(self) -> tuple[str, ...]:
        """The pins' names, without version."""
        return tuple(re.split(r"[=<>\[]", pin)[0] for pin in self.pins)


def installed() -> Mapping[str, str]:
    """Package → version, of those in wheels.toml that are installed here."""
    known = [package for group in _modules().values() for package in group]
    known += [pair["package"] for pair in _table()["pair"]]
    versions = {package: _version(package) for package in dict.fromkeys(known)}
    return {package: version for package, version in versions.items() if version is not None}


def clashes(found: Mapping[str, str] | None = None) -> tuple[Clash, ...]:
    """What is wrong with ``found`` (`installed()`, when left out), worst first."""
    here = installed() if found is None else found
    lost = _lost_files() if found is None else ()
    return (*_doubles(here), *lost, *_unpaired(here), *_misfits(here))


def extras() -> tuple[Extra, ...]:
    """Every extra of wheels.toml, in its order."""
    return tuple(
        Extra(
            entry["name"],
            kinds=tuple(entry["kinds"]),
            systems=tuple(entry["systems"]),
            pins=tuple(entry["pins"]),
            source=entry["source"],
        )
        for entry in _table()["extra"]
    )


def wheel_for(kind: str, system: str | None = None) -> str | None:
    """The extra that brings ONNX Runtime to devices of this kind; None where there is none.

    ``system`` is a name as `platform.system` returns it; this machine's when left out.
    """
    system = system or platform.system()
    for extra in extras():
        if extra.kinds[-1] == kind and system in extra.systems:
            return extra.name
    return None


def install_command(extra: str, found: Mapping[str, str] | None = None) -> str:
    """How to get this extra here: packages that it can't be beside are removed first."""
    here = installed() if found is None else found
    wanted = next(entry for entry in extras() if entry.name == extra)
    shared = [package for package in _shared(wanted) if package in here]
    install = f'`pip install "aipc[{extra}]"`'
    if set(shared) <= set(wanted.packages):
        return install
    # Removing one package takes the files that it shares with another: all go, then come back.
    return f"`pip uninstall -y {' '.join(shared)}`, then {install}"


def _doubles(found: Mapping[str, str]) -> Iterator[Clash]:
    for module, packages in _modules().items():
        here = [package for package in packages if package in found]
        if len(here) > 1:
            listed = " and ".join(f"{package} {found[package]}" for package in here)
            yield Clash(
                tuple(here),
                f"{listed} write into one folder, '{module}': "
                "what runs is a mixture, often without its accelerator",
                _reinstall(here),
            )


def _unpaired(found: Mapping[str, str]) -> Iterator[Clash]:
    """Packages without the one that they work with."""
    for pair in _table()["pair"]:
        package, needs = pair["package"], pair["needs"]
        if package in found and needs not in found and len(_siblings(package, found)) < 2:
            yield Clash(
                (package, needs),
                f"{package} {found[package]} is here without {needs}, the one it works with",
                _reinstall([package, *_siblings(needs, found)]),
            )


def _misfits(found: Mapping[str, str]) -> Iterator[Clash]:
    """Pairs of different releases: OpenVINO 2026.4.1 and GenAI 2026.4.1.0 are one release."""
    for pair in _table()["pair"]:
        package, needs = pair["package"], pair["needs"]
        if not pair.get("same_release") or package not in found or needs not in found:
            continue
        if found[package].split(".")[:3] != found[needs].split(".")[:3]:
            yield Clash(
                (package, needs),
                f"{package} {found[package]} does not belong to {needs} {found[needs]}",
                "`pip install --force-reinstall aipc` brings the versions that belong together",
            )


def _lost_files() -> Iterator[Clash]:
    for module, packages in _modules().items():
        for package in packages:
            if _version(package) is not None and not _has_files(package, module):
                yield Clash(
                    (package,),
                    f"{package} is listed as installed and its files are gone: another package "
                    f"that writes into '{module}' was removed",
                    _reinstall([package]),
                )


def _has_files(package: str, module: str) -> bool:
    from importlib import metadata  # 30 ms, which no command's help should wait for

    distribution = metadata.distribution(package)
    listed = [file for file in distribution.files or () if file.parts == (module, "__init__.py")]
    # None listed: an install in place, whose files are wherever its owner keeps them.
    return all(Path(str(distribution.locate_file(file))).is_file() for file in listed)


def _reinstall(packages: list[str]) -> str:
    remove = f"`pip uninstall -y {' '.join(packages)}`"
    extra = _extra_of(packages)
    again = f'"aipc[{extra}]"' if extra else "--force-reinstall aipc"
    return f"{remove}, then `pip install {again}`"


def _extra_of(packages: list[str]) -> str | None:
    """The most able extra that one of these belongs to: its wheels compute on the CPU too."""
    owned = Counter(package for extra in extras() for package in extra.packages)
    for extra in sorted(extras(), key=lambda extra: -len(extra.kinds)):
        if any(package in extra.packages and owned[package] == 1 for package in packages):
            return extra.name
    return "onnx" if any(package.startswith("onnxruntime") for package in packages) else None


def _shared(extra: Extra) -> list[str]:
    """Every package that writes into a folder of the extra's own."""
    groups = [group for group in _modules().values() if set(group) & set(extra.packages)]
    return [package for group in groups for package in group]


def _siblings(package: str, found: Mapping[str, str]) -> list[str]:
    group = next((group for group in _modules().values() if package in group), ())
    return [sibling for sibling in group if sibling in found]


def _modules() -> Mapping[str, tuple[str, ...]]:
    return {entry["name"]: tuple(entry["packages"]) for entry in _table()["module"]}


@cache
def _table() -> Mapping[str, Any]:
    return read_table(__package__, "wheels.toml")


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
