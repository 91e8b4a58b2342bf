"""How this aipc came onto this computer, as the files of its own installation say.

Who installed it stands in uv-receipt.toml or pipx_metadata.json at the environment's root, or in
INSTALLER (packaging.python.org, "Recording installed projects"); what from, in direct_url.json
(PEP 610), which is missing where it came from a package index.
"""

from __future__ import annotations

import json
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.errors import UsageError
from aipc.tables import read_toml

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NAME = "aipc"
PIP, UV, UV_TOOL, PIPX = "pip", "uv", "uv tool", "pipx"
INDEX, EDITABLE, FOLDER, FILE, URL = "index", "editable", "folder", "file", "url"
_RECEIPT, _PIPX_METADATA = "uv-receipt.toml", "pipx_metadata.json"


@dataclass(frozen=True)
class Origin:
    """``kind`` is INDEX, EDITABLE or FOLDER (a checkout), FILE (a wheel) or URL (git's as well).

    ``where`` is the path or the URL, as pip takes it; empty for an index.
    """

    kind: str
    where: str = ""


@dataclass(frozen=True)
class Installation:
    """``tool`` is PIP, UV, UV_TOOL or PIPX; ``python`` the interpreter that aipc runs on."""

    tool: str
    python: str
    prefix: Path
    origin: Origin
    has_pip: bool = True
    is_users: bool = False
    """Whether the package lies in its user's own folder, beside the system's Python."""
    is_managed: bool = False
    """Whether that Python is the system's, where pip has to be told to write (PEP 668)."""

    @property
    def environment(self) -> str:
        """The name by which uv or pipx knows the tool."""
        return self.prefix.name

    @property
    def receipt(self) -> Mapping[str, Any]:
        """What `uv tool install` noted: requirements, options, Python; empty without it."""
        file = self.prefix / _RECEIPT
        return dict(read_toml(file).get("tool", {})) if file.is_file() else {}


@cache
def this_installation() -> Installation:
    """Of the aipc that runs."""
    return read_installation(Path(sys.prefix), sys.executable, _distribution())


def read_installation(prefix: Path, python: str, package: Distribution | None) -> Installation:
    """Of an environment: its root, its interpreter, and what it knows of the package."""
    is_venv = (prefix / "pyvenv.cfg").is_file()
    return Installation(
        tool=_tool(prefix, package),
        python=python,
        prefix=prefix,
        origin=_origin(package),
        has_pip=find_spec("pip") is not None,
        is_users=not is_venv and _is_in_user_site(package),
        is_managed=not is_venv
        and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").is_file(),
    )


def extras() -> tuple[str, ...]:
    """The names that stand in brackets, as in "aipc[ray]"."""
    package = _distribution()
    return tuple(package.metadata.get_all("Provides-Extra") or ()) if package else ()


def requirements(extra: str = "") -> tuple[str, ...]:
    """What aipc, or one of its extras alone, needs on this computer, such as "pyarrow>=18".

    Empty where aipc runs out of a source tree without being installed.

    Raises:
        UsageError: there is no such extra.
    """
    package = _distribution()
    if package is None:
        return ()
    if extra and extra not in extras():
        raise UsageError(f"aipc has no extra '{extra}'", f"there is {', '.join(extras())}")
    needed = _needed(package, extra)
    return tuple(dict.fromkeys(one for one in needed if not extra or one not in requirements()))


def _needed(package: Distribution, extra: str) -> Iterator[str]:
    from packaging.requirements import Requirement

    for requirement in map(Requirement, package.requires or ()):
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name == NAME:
            for inner in requirement.extras:
                yield from _needed(package, inner)
        else:
            requirement.marker = None
            yield str(requirement)


def _distribution() -> Distribution | None:
    from importlib import metadata  # 0.1 s, of a start that has nothing to mend

    try:
        return metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return None


def _tool(prefix: Path, package: Distribution | None) -> str:
    if (prefix / _RECEIPT).is_file():
        return UV_TOOL
    if (prefix / _PIPX_METADATA).is_file():
        return PIPX
    installer = (package.read_text("INSTALLER") if package else None) or ""
    return UV if installer.strip() == UV else PIP


def _origin(package: Distribution | None) -> Origin:
    if package is None:
        return Origin(EDITABLE, str(Path(__file__).parents[2]))
    noted = json.loads(package.read_text("direct_url.json") or "{}")
    if not noted:
        return Origin(INDEX)
    url = str(noted["url"])
    if "vcs_info" in noted:
        revision = noted["vcs_info"].get("requested_revision")
        return Origin(
            URL, f"{noted['vcs_info']['vcs']}+{url}" + (f"@{revision}" if revision else "")
        )
    if not url.startswith("file:"):
        return Origin(URL, url)
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    path = url2pathname(urlsplit(url).path)
    if "dir_info" in noted:
        return Origin(EDITABLE if noted["dir_info"].get("editable") else FOLDER, path)
    return Origin(FILE, path)


def _is_in_user_site(package: Distribution | None) -> bool:
    users = site.getusersitepackages()
    return package is not None and Path(users) in Path(str(package.locate_file(NAME))).parents
