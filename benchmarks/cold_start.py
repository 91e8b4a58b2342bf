"""What a start costs under OpenVINO's settings: load, first answer, second, memory.

    python benchmarks/cold_start.py ARTIFACT [--rounds 3] [--prompt 64] [--from-disk]
                                   [--only NAME ...]

Each start is a process of its own; the sets take turns, one of them being bare openvino_genai
under the same properties. CACHE_DIR is filled by one start that does not count. --from-disk drops
the artifact from the system's file cache before each start. Where other programs run beside, go
by the processor's seconds, of all threads together, and not by the clock's.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aipc.choose import choose, read_artifact
from aipc.devices import reachable_devices
from aipc.measure.bench.runner import ParticipantProcess
from aipc.measure.peers import openvino_genai
from aipc.measure.tune import engine

TOKENS = 2
BARE = "bare openvino_genai"


@dataclass(frozen=True)
class Start:
    """Seconds by the clock and, of the first answer, the processor's; GB at the peak."""

    load: float
    first: float
    processor: float
    second: float
    peak: float

    @property
    def together(self) -> float:
        return self.load + self.first


def sets(cache: Path) -> Mapping[str, Mapping[str, str]]:
    """Properties beside those that the rule chooses."""
    size, speed = str(cache / "size"), str(cache / "speed")
    groups = "DYNAMIC_QUANTIZATION_GROUP_SIZE"
    return {
        BARE: {},
        "aipc": {},
        "not mapped": {"ENABLE_MMAP": "NO"},
        "cache, smallest": {"CACHE_DIR": size, "CACHE_MODE": "OPTIMIZE_SIZE"},
        "cache, fastest": {"CACHE_DIR": speed, "CACHE_MODE": "OPTIMIZE_SPEED"},
        "weightless": {"ENABLE_WEIGHTLESS": "YES"},
        "activations in groups of 32": {groups: "32"},
        "activations not quantized": {groups: "0"},
        "bf16": {"INFERENCE_PRECISION_HINT": "bf16"},
        "not pinned": {"ENABLE_CPU_PINNING": "NO"},
        "one thread": {"INFERENCE_NUM_THREADS": "1"},
    }


def start(
    artifact: Path, name: str, properties: Mapping[str, str], prompt: int, seed: int
) -> Start:
    source = random.Random(seed)
    script, device = (openvino_genai, "CPU") if name == BARE else (engine, "cpu")
    options = {"artifact": str(artifact), "runtime": "openvino", "device": device}
    runner = ParticipantProcess(
        name, sys.executable, Path(script.__file__), {**options, "properties": dict(properties)}
    )
    try:
        load = runner.load().seconds
        runs = [runner.run([source.choices(range(300, 30000), k=prompt)], TOKENS) for _ in "ab"]
    finally:
        runner.close()
    first, second = (run.times[0][0] for run in runs)
    return Start(load, first, runs[0].cpu_s, second, (runs[1].peak_memory_bytes or 0) / 1e9)


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
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="rows of the table")
    asked = parser.parse_args()
    plan = choose(read_artifact(asked.artifact), reachable_devices({"openvino"}), device="cpu")
    with tempfile.TemporaryDirectory(dir=asked.artifact.parent) as folder:
        compare(asked, plan.properties, Path(folder))


def compare(asked: argparse.Namespace, rule: Mapping[str, str], cache: Path) -> None:
    found: dict[str, list[Start]] = {}
    for number in range(-1, asked.rounds):  # the first fills the caches
        for name, properties in sets(cache).items():
            if asked.only and name not in asked.only:
                continue
            if asked.from_disk:
                forget(asked.artifact)
                forget(cache)
            one = start(asked.artifact, name, {**rule, **properties}, asked.prompt, number + 1)
            if number >= 0:
                found.setdefault(name, []).append(one)
    columns = ("load", "first", "processor", "together", "second", "peak")
    print(f"{'':28}" + "".join(f"{column:>11}" for column in columns))
    for name, starts in found.items():
        medians = (statistics.median(getattr(one, column) for one in starts) for column in columns)
        units = ("GB" if column == "peak" else "s " for column in columns)
        print(f"{name:28}" + "".join(f"{m:8.2f} {u}" for m, u in zip(medians, units, strict=True)))
    stored = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    print(f"the caches took {stored / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
