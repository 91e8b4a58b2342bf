"""A file system of a stated size, to be filled; mounting takes rights that few have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class SmallDisk:
    """What is mounted at ``folder``, ``nbytes`` large."""

    def __init__(self, folder: Path, nbytes: int) -> None:
        self.folder = folder
        self.nbytes = nbytes

    @property
    def used(self) -> int:
        """Bytes in whole blocks; it can't be resized to less."""
        return shutil.disk_usage(self.folder).used

    def resize(self, nbytes: int) -> None:
        options = f"remount,size={nbytes}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    def fill(self) -> Path:
        """A file that takes all that is free."""
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        return filler


@contextmanager
def small_disk(folder: Path, nbytes: int) -> Iterator[SmallDisk | None]:
    """Mounted at ``folder``, which is made; None where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={nbytes}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield SmallDisk(folder, nbytes)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
