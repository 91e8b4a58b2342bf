"""What copying a model out of a mirror costs: python benchmarks/mirror.py [--gb 2] [--pcs 4].

Python's own web server on this machine serves one artifact of random bytes; so many processes copy
it at once, each into a store of its own, and then once more.  Network and server are this machine,
so the figures are what a PC itself spends: reading, hashing, writing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from aipc.artifact import manifest

NAME = "org--model--main-openvino-int4-g128-sym-4"
CHUNK = 1 << 24
PULL = """
import sys
from pathlib import Path
from aipc.models import mirror
from aipc.models.store import Store
mirror.fetch(sys.argv[1], [sys.argv[2]], Store(Path(sys.argv[3])))
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--gb", type=float, default=2.0)
    options.add_argument("--pcs", type=int, default=1)
    wanted = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="aipc-mirror-"))
    try:
        make(folder / "mirror" / NAME, int(wanted.gb * 1e9))
        measure(folder, wanted.gb, wanted.pcs)
    finally:
        shutil.rmtree(folder)


def make(folder: Path, nbytes: int) -> None:
    folder.mkdir(parents=True)
    (folder / "openvino_model.xml").write_text("<net/>")
    with (folder / "openvino_model.bin").open("wb") as file:
        while (left := nbytes - file.tell()) > 0:
            file.write(os.urandom(min(CHUNK, left)))
    manifest.write(folder, "artifact", NAME, {})


def measure(folder: Path, gigabytes: float, count: int) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command,
        cwd=folder / "mirror",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        address = f"http://127.0.0.1:{server.stdout.readline().split('port ')[1].split()[0]}"
        homes = [folder / f"pc{number}" for number in range(count)]
        try:
            first, busy = pull(address, homes)
            again, _ = pull(address, homes)
        finally:
            server.kill()
    total = gigabytes * count
    print(f"{count} of {gigabytes:g} GB: {first:.1f} s, {total / first:.2f} GB/s together,")
    print(f"{busy / total:.2f} s of a core a GB, without the server's; again {again:.2f} s")


def pull(address: str, homes: Sequence[Path]) -> tuple[float, float]:
    """(seconds until all have it, processor seconds of them); a process's start is in both."""
    began, before = time.perf_counter(), os.times()
    arguments = [[sys.executable, "-c", PULL, address, NAME, str(home)] for home in homes]
    processes = [subprocess.Popen(one) for one in arguments]
    assert not any(process.wait() for process in processes)
    after = os.times()
    busy = sum(after[2:4]) - sum(before[2:4])  # of children
    return time.perf_counter() - began, busy


if __name__ == "__main__":
    main()
