"""aipc as a program of its own, on a store of its own, and all that it writes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from limited import GIB, Outcome, run_limited
from small_disk import SmallDisk

from aipc.artifact import manifest
from aipc.models.blobs import list_blobs
from aipc.models.store import Store

PLANTED = Path(__file__).with_name("planted_disk.py")
NEWER = Path(__file__).with_name("newer_aipc.py")
WRONG_NPU = Path(__file__).with_name("planted_npu.py")
END_S = 300
ADDRESSES = 64 * GIB
LOCK = ".lock"
_VERDICT = re.compile(r"home/verified/.+").fullmatch
"""What is found out anew where it is missing; the next one that is kept removes its draft."""
_EXCUSED = re.compile(
    r"home/verified/\..+\.part|home/running/\d+-\d+\.json|tmp/[a-z0-9_]{8}"
).fullmatch
"""The draft of one; what a session that ended showed `aipc top`, which removes it; and the file of
four bytes by which Python tries the temporary folder."""


class Program:
    """``folder`` has the store, ``home``; ``out`` for results; and all temporary files.

    ``disk`` is the file system that ``folder`` is on, where it has one of its own; ``kept`` is
    elsewhere, for `keep`.
    """

    def __init__(
        self, folder: Path, kept: Path, disk: SmallDisk | None = None, **environment: str
    ) -> None:
        self.folder = folder
        self.disk = disk
        self.home, self.out, self._temporary = folder / "home", folder / "out", folder / "tmp"
        self._pristine = kept
        for one in (self.home, self.out, self._temporary):
            one.mkdir(parents=True, exist_ok=True)
        places = {"AIPC_HOME": self.home, "TMPDIR": self._temporary, "HOME": folder / "user"}
        self._environment = {**os.environ, **{name: str(path) for name, path in places.items()}}
        # what makes weights ready outlives the command on purpose
        self._environment |= {"AIPC_READY_WEIGHTS": "0", **environment}

    @property
    def store(self) -> Store:
        return Store(self.home)

    def run(
        self,
        *arguments: str,
        planted: tuple[str, int] | None = None,
        stand_in: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **limits: Any,
    ) -> Outcome:
        """The command to its end, within ``limits``: those of `run_limited`.

        ``planted`` is a fault and a step of `planted_disk`, ``stand_in`` a script in aipc's place;
        ``environment`` is more of it.
        """
        env = self._environment | dict(environment or {})
        limits = {"seconds": END_S, "nbytes": ADDRESSES, **limits}
        program = [str(stand_in)] if stand_in else self._program(planted)
        return run_limited([sys.executable, *program, *arguments], env=env, **limits)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """The command as it goes on; what it tells is in ``told``."""
        with self.told.open("wb") as told:
            process = subprocess.Popen(
                [sys.executable, *self._program(None), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                env=self._environment,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @property
    def told(self) -> Path:
        return self.folder / "told.txt"

    def steps(self, *arguments: str) -> int:
        """Changes of files that the command makes; see `planted_disk`."""
        outcome = self.run(*arguments, planted=("none", 0))
        assert outcome.status == 0, outcome.err
        return int(self._count.read_text())

    def keep(self) -> None:
        """What is there now is what `restore` brings back, at the same paths."""
        shutil.rmtree(self._pristine, ignore_errors=True)
        shutil.copytree(self.folder, self._pristine, symlinks=True)

    def restore(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self._pristine, self.folder, symlinks=True)

    def age(self) -> None:
        """As if what is hidden or temporary was written yesterday."""
        yesterday = time.time() - 24 * 3600
        for root in (self.home, self.out, self._temporary):
            for path in root.rglob("*"):
                if root == self._temporary or not _is_visible(path, root):
                    os.utime(path, (yesterday, yesterday), follow_symlinks=False)

    def contents(self) -> dict[str, str]:
        """Hash of every file that the command wrote, by its path; locks are left out."""
        return {
            str(path.relative_to(self.folder)): _digest(path)
            for root in (self.home, self.out, self._temporary)
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix != LOCK
        }

    @property
    def nbytes(self) -> int:
        """Of all files in its folder."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def half_made(self) -> list[str]:
        """What is listed or visible without being whole, one line each."""
        found = []
        for whole in (*self.store.entries(), *list_blobs(self.store.blobs)):
            found += [f"{whole.name}: {problem}" for problem in manifest.verify(whole.path)]
        for folder in (self.home, self.out):
            for path in (*folder.rglob("*.json"), *folder.rglob("*.jsonl")):
                if _is_visible(path, folder):
                    found += [] if _is_whole(path) else [f"{path} is cut"]
        return found

    @property
    def _count(self) -> Path:
        return self.folder / "steps.txt"

    def _program(self, planted: tuple[str, int] | None) -> list[str]:
        if planted is None:
            return ["-m", "aipc"]
        fault, step = planted
        return [str(PLANTED), fault, str(step), str(self._count), str(self.folder), "--"]


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """What a tree of `Program.contents` lacks, has too much or has otherwise, one line each."""
    lines = [f"{name} is missing" for name in wanted if name not in found if not _VERDICT(name)]
    lines += [f"{name} is left over" for name in found if name not in wanted if not _EXCUSED(name)]
    both = (name for name in found if wanted.get(name))
    return lines + [f"{name} has other bytes" for name in both if found[name] != wanted[name]]


def _digest(path: Path) -> str:
    """Of a file's bytes, but for the time at which a manifest or a result was made."""
    data = path.read_bytes()
    if path.suffix == ".json":
        with suppress(ValueError):
            table = json.loads(data)
            if isinstance(table, dict) and {"created", "hash"} <= table.keys():
                data = json.dumps({**table, "created": None, "hash": None}).encode()
    return hashlib.sha256(data).hexdigest()


def _is_visible(path: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def _is_whole(path: Path) -> bool:
    text = path.read_text("utf-8")
    try:
        for part in text.splitlines() if path.suffix == ".jsonl" else [text]:
            json.loads(part)
    except ValueError:
        return False
    return text.endswith("\n") or path.suffix != ".jsonl"
