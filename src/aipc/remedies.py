"""What people are told to run, all of it out of remedies.toml: commands that work on this computer.

What has to be installed is named by the packages that aipc's own metadata asks for, never as
"aipc[…]": that would need aipc itself on an index, and whoever holds the name there to be trusted.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from aipc.installation import (
    PIP,
    PIPX,
    UV,
    UV_TOOL,
    Installation,
    extras,
    requirements,
    this_installation,
)
from aipc.tables import read_table

_SAFE = frozenset("@%+=:,./-_$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
NEW_WHEEL = "NEW_WHEEL"


def add_extra(extra: str) -> str:
    """How to get what an extra of aipc needs, such as "ray"; empty where it needs nothing.

    Raises:
        UsageError: there is no such extra.
    """
    here = this_installation()
    if extras():
        needed = requirements(extra)
        return add(needed, here) if needed else ""
    return _quote_command(f"{_pip(here)} install -e {quote(f'{here.origin.where}[{extra}]')}")


def add(packages: Sequence[str], here: Installation | None = None) -> str:
    """How to get packages that are missing, given as pip takes them."""
    return _told("add", packages, here or this_installation())


def put_own(*names: str) -> str:
    """How to get packages that aipc itself needs, in the versions that it needs them in."""
    return put(_own(names))


def put(packages: Sequence[str], here: Installation | None = None) -> str:
    """How to get these packages in place of whatever there is of them."""
    return _told("put", packages, here or this_installation())


def replace(removed: Sequence[str], packages: Sequence[str]) -> str:
    """How to remove packages and then get others, or the same ones again."""
    here = this_installation()
    return f"{_told('remove', removed, here)}, then {put(packages, here)}"


def reinstall_own(*names: str) -> str:
    """How to get anew those of the packages that aipc needs, after all were removed."""
    return replace(names, _own(names))


def upgrade(here: Installation | None = None) -> tuple[str, ...]:
    """The commands that bring a newer aipc from where this one came from, in their order."""
    here = here or this_installation()
    tool = _tool(here)
    commands = _table()["tool"][tool]["upgrade"][here.origin.kind]
    is_git = (Path(here.origin.where or ".") / ".git").exists()
    return tuple(
        _filled(command, here) for command in commands if is_git or not command.startswith("git ")
    )


def command(name: str) -> str:
    """A command of the table for this system, in backticks; empty where there is none for it."""
    known: Mapping[str, str] = _table()["command"][name]
    text = known.get("any") or next((known[one] for one in _families() if one in known), "")
    return _quote_command(_filled(text, this_installation())) if text else ""


def quote(argument: str) -> str:
    """As bash, zsh, fish, PowerShell and cmd all take it, as far as there is such a thing."""
    if argument and set(argument) <= _SAFE:
        return argument
    return shlex.quote(argument) if set(argument) & set('"$`!') else f'"{argument}"'


def _own(names: Sequence[str]) -> Sequence[str]:
    """Aipc's requirements on packages, such as "onnx>=1.19"; the names where it has none."""
    from packaging.requirements import Requirement

    return [one for one in requirements() if Requirement(one).name in names] or names


def _told(verb: str, packages: Sequence[str], here: Installation) -> str:
    text = _filled(_table()["tool"][_tool(here)][verb], here, packages)
    first = f"{command('bring-pip')}, then " if text.startswith(_pip(here)) and _lacks(here) else ""
    return first + _quote_command(text)


def _lacks(here: Installation) -> bool:
    return _tool(here) == PIP and not here.has_pip


def _tool(here: Installation) -> str:
    """What can do it: what installed aipc, if that can still be found, or else pip."""
    if here.tool in {UV, UV_TOOL}:
        return here.tool if _uv() else PIP
    if here.tool == PIPX:
        return PIPX if shutil.which("pipx") else PIP
    return PIP if here.has_pip or not _uv() else UV


def _filled(template: str, here: Installation, packages: Sequence[str] = ()) -> str:
    managed = " --break-system-packages" if here.is_managed else ""
    return template.format(
        packages=" ".join(map(quote, packages)),
        options=managed + (" --user" if here.is_users else ""),
        managed=managed,
        pip=_pip(here),
        uv=_called(_uv() or "uv"),
        hf=_script("hf", here),
        python=_called(here.python) if template.startswith("{python}") else quote(here.python),
        name=quote(here.environment),
        where=quote(here.origin.where),
        kept=" ".join(_kept(here)),
        renewed=" ".join(_kept(here, NEW_WHEEL)),
        **{"with": " ".join(f"--with {quote(one)}" for one in packages)},
    )


def _quote_command(text: str) -> str:
    return f"`{text}`"


def _pip(here: Installation) -> str:
    """The bare name where it is this environment's, which then is an activated one."""
    found = shutil.which("pip")
    is_ours = found is not None and Path(found).parent == Path(here.python).parent
    return "pip" if is_ours else f"{_called(here.python)} -m pip"


def _script(name: str, here: Installation) -> str:
    """A program that came with aipc: uv and pipx put it where no shell finds it."""
    if shutil.which(name):
        return name
    beside = shutil.which(name, path=str(Path(here.python).parent))
    return _called(beside) if beside else name


def _uv() -> str:
    """What to call uv by; empty where it is not found."""
    if shutil.which("uv"):
        return "uv"
    places = os.pathsep.join(str(Path.home() / place) for place in (".local/bin", ".cargo/bin"))
    return shutil.which("uv", path=places) or ""


def _called(program: str) -> str:
    """PowerShell takes a program in quotes for a text, unless `&` is before it."""
    written = quote(program)
    return f"& {written}" if sys.platform == "win32" and written != program else written


def _kept(here: Installation, instead: str = "") -> Iterator[str]:
    """What `uv tool install` was given; ``instead`` takes the place of aipc's own origin."""
    receipt = here.receipt
    if receipt.get("python"):
        yield f"--python {quote(str(receipt['python']))}"
    for name, value in receipt.get("options", {}).items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield f"--{name} {quote(one)}"
    for entry in receipt.get("requirements", ()):
        is_main = entry["name"] == here.environment
        if is_main and instead:
            yield instead
        elif is_main:
            yield from _requested(entry)
        else:
            yield from ("--with-editable" if "editable" in entry else "--with", _requirement(entry))


def _requested(entry: Mapping[str, Any]) -> Iterator[str]:
    if "editable" in entry:
        yield "--editable"
    yield _requirement(entry)


def _requirement(entry: Mapping[str, Any]) -> str:
    """A requirement of uv's receipt, as it is written on a command line."""
    named = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    path = next((entry[key] for key in ("path", "directory", "editable") if key in entry), None)
    if path is not None:
        return quote(f"{path}{named}")
    url = _git_url(entry["git"]) if "git" in entry else entry.get("url")
    if url:
        return quote(f"{entry['name']}{named} @ {url}")
    return quote(f"{entry['name']}{named}{entry.get('specifier', '')}")


def _git_url(noted: str) -> str:
    """Uv notes a revision as ?rev=NAME, ?branch=NAME or ?tag=NAME, and is given it as @NAME."""
    url, _, query = noted.partition("?")
    return f"git+{url}" + (f"@{query.partition('=')[2]}" if query else "")


def _families() -> tuple[str, ...]:
    """The distribution and those that it descends from: ("ubuntu", "debian")."""
    if sys.platform != "linux":
        return ()
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return ()
    named = (release.get("ID", ""), *release.get("ID_LIKE", "").split())
    return tuple(name.split("-")[0] if name.startswith("opensuse") else name for name in named)


@cache
def _table() -> Mapping[str, Any]:
    return read_table(__package__, "remedies.toml")
