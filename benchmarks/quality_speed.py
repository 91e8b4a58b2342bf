"""Decode speed of every stored format, ours and the peers', in one interleaved run.

    python benchmarks/quality_speed.py WORK [--rounds 7] [--tokens 64]

Takes the artifacts of WORK that quality_table.py made (whatever is missing is made first), loads
all of them, lets each decode in turn for some rounds, and writes docs/quality-speed.json and the
page's table and pictures.  How the codes were found does not change the speed, so of the rows that
store weights in the same way one is timed (`twin`).  OpenVINO artifacts, NNCF's too, run with the
properties that aipc chooses on this machine; the others as their runtime does by itself, on every
core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import quality_pictures
from decoders import MARK
from quality_artifacts import EVERY, Artifact, make
from quality_table import write_page

DOCS = Path(__file__).parents[1] / "docs"
WEIGHTS = "turned"


def twin(name: str) -> str:
    """The timed row that stores its weights as the row ``name`` does."""
    tool, *_, width = name.split()
    plain = {"aipc": f"aipc rtn {width}", "nncf": f"nncf data-free {width}"}.get(tool)
    return plain if plain in EVERY else name


class Decoder:
    """An artifact loaded in a process of its own."""

    def __init__(self, artifact: Artifact, properties: dict[str, str]) -> None:
        self.name = artifact.name
        script = [artifact.python, Path(__file__).with_name("decoders.py"), artifact.folder]
        self._process = subprocess.Popen(
            [*map(str, script), json.dumps(properties)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()

    def speed(self, tokens: int) -> float:
        """Tokens a second."""
        self._process.stdin.write(f"{tokens}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        for line in self._process.stdout:
            if line.startswith(MARK):
                return line.removeprefix(MARK).strip()
        sys.exit(f"{self.name}: its process ended")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def chosen_properties(artifact: Artifact) -> dict[str, str]:
    """What aipc sets for it on this machine's CPU."""
    import aipc

    with aipc.load(str(artifact.folder), device="cpu") as session:
        return dict(session.facts["properties"])


def machine() -> dict[str, object]:
    cpu = Path("/proc/cpuinfo")
    names = [line for line in cpu.read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": names[0].partition(": ")[2] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "load before": os.getloadavg()[0],
    }


def measure(artifacts: list[Artifact], rounds: int, tokens: int) -> dict[str, object]:
    facts = machine()
    properties = chosen_properties(artifacts[0])
    decoders = [Decoder(artifact, properties) for artifact in artifacts]
    found: dict[str, list[float]] = {decoder.name: [] for decoder in decoders}
    for number in range(rounds):
        for decoder in decoders[:: -1 if number % 2 else 1]:
            found[decoder.name].append(round(decoder.speed(tokens), 2))
    for decoder in decoders:
        decoder.close()
    return {
        "machine": facts, "properties": properties, "tokens": tokens, "tokens a second": found,
    }  # fmt: skip


def table(speeds: dict[str, list[float]]) -> str:
    head = ["| weights | tokens a second | in all rounds |", "|---|---|---|"]
    median = sorted(speeds, key=lambda name: -statistics.median(speeds[name]))
    return "\n".join([*head, *(
        f"| {name} | {statistics.median(speeds[name]):.1f} "
        f"| {min(speeds[name]):.1f} to {max(speeds[name]):.1f} |" for name in median
    )])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64)
    asked = parser.parse_args()
    artifacts = make(asked.work, WEIGHTS, {twin(name) for name in EVERY})
    found = measure(artifacts, asked.rounds, asked.tokens)
    found["timed for"] = {name: twin(name) for name in EVERY}
    (DOCS / "quality-speed.json").write_text(json.dumps(found, indent=1) + "\n")
    write_page("speed", table(found["tokens a second"]))
    quality_pictures.draw_all(DOCS)


if __name__ == "__main__":
    main()
