"""What a start costs under OpenVINO's mapping and cache settings: load, first answer, second.

    python benchmarks/cold_start.py ARTIFACT [--rounds 3] [--prompt 64] [--from-disk]

Each start is a process of its own; the sets take turns. CACHE_DIR is filled by one start that
does not count. --from-disk drops the artifact from the system's file cache before each start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from starts import COLD_TOKENS, Start, start

from aipc.choose import choose, read_artifact
from aipc.devices import reachable_devices
from aipc.measure.bench.runner import ParticipantProcess
from aipc.measure.tune import engine

MMAP, CACHE, MODE = "ENABLE_MMAP", "CACHE_DIR", "CACHE_MODE"


def sets(cache: Path) -> Mapping[str, Mapping[str, str]]:
    size, speed = str(cache / "size"), str(cache / "speed")
    return {
        "mapped (OpenVINO's default)": {},
        "not mapped": {MMAP: "NO"},
        "cache, smallest": {CACHE: size, MODE: "OPTIMIZE_SIZE"},
        "cache, fastest": {CACHE: speed, MODE: "OPTIMIZE_SPEED"},
    }


def runner(artifact: Path, properties: Mapping[str, str]) -> ParticipantProcess:
    options = {"artifact": str(artifact), "runtime": "openvino", "device": "cpu"}
    options |= {"properties": dict(properties)}
    return ParticipantProcess("openvino", sys.executable, Path(engine.__file__), options)


def forget(folder: Path) -> None:
    """Drop a folder's files from the file cache."""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--from-disk", action="store_true")
    asked = parser.parse_args()
    plan = choose(read_artifact(asked.artifact), reachable_devices({"openvino"}), device="cpu")
    with tempfile.TemporaryDirectory(dir=asked.artifact.parent) as folder:
        compare(asked, plan.properties, Path(folder))


def compare(asked: argparse.Namespace, rule: Mapping[str, str], cache: Path) -> None:
    found: dict[str, list[Start]] = {}
    for number in range(-1, asked.rounds):  # the first fills the caches
        for name, properties in sets(cache).items():
            if asked.from_disk:
                forget(asked.artifact)
                forget(cache)
            loaded = runner(asked.artifact, {**rule, **properties})
            one = start(loaded, asked.prompt, COLD_TOKENS, number + 1)
            if number >= 0:
                found.setdefault(name, []).append(one)
    print(f"{'':28}{'load':>9}{'first':>9}{'together':>10}{'second':>9}{'peak':>9}")
    for name, starts in found.items():
        load = statistics.median(one.load_s for one in starts)
        first = statistics.median(one.cold_s for one in starts)
        second = statistics.median(one.warm_s for one in starts)
        peak = statistics.median(one.peak_bytes or 0 for one in starts) / 1e9
        together = statistics.median(one.load_s + one.cold_s for one in starts)
        print(f"{name:28}{load:7.2f} s{first:7.2f} s{together:8.2f} s{second:7.2f} s{peak:6.2f} GB")
    stored = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    print(f"the caches took {stored / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
