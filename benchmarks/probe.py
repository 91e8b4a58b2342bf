"""What the probe promises of a model here, against whole runs of it; and what the probe costs.

    python benchmarks/probe.py CHECKPOINT [--rounds 3] [--home DIR]

The model is probed and run whole through each runtime in turn, in every round; the medians of both
are compared.  Artifacts are made in DIR and stay there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from aipc.checkpoint import open_checkpoint
from aipc.choose.probe.choice import choose_probed
from aipc.choose.probe.prediction import Prediction
from aipc.choose.probe.probe import PlannedSetup, Probe, ProbeResult
from aipc.choose.probe.times import PROMPT, StackTask, time_stack
from aipc.choose.probe.work import KINDS_OF_WORK
from aipc.choose.runtime_device import runtime_devices
from aipc.convert.plans.planning import plan_decoder
from aipc.devices import reachable_devices
from aipc.devices.system.memory import peak_memory, read_memory
from aipc.session.convert import convert

LOW_ROWS = 256
FIGURES = ("load_s", "cold_s", "prompt_s", "token_s", "memory")


def planned(checkpoint: Path) -> list[PlannedSetup]:
    opened = open_checkpoint(checkpoint)
    return [
        PlannedSetup(setup := one.default(), plan_decoder(opened, setup.recipe, one.target))
        for one in runtime_devices(reachable_devices(), device="CPU")
    ]


def whole(setup: dict[str, object], folder: str) -> Prediction:
    """The same figures of the whole model, measured in this process."""
    task = StackTask(setup["runtime"], setup["device"], setup["properties"], (), LOW_ROWS)
    before = peak_memory()
    times, _ = time_stack(task, folder, lambda _: None)
    return Prediction(
        load_s=times.load_s,
        cold_s=times.cold_s - times.prompt_s,
        prompt_s=times.prompt_s / PROMPT,
        token_s=times.token_s,
        memory=peak_memory() - before,
    )


def run_whole(setup: object, folder: Path) -> Prediction:
    command = [sys.executable, __file__, "--whole", json.dumps(asdict(setup)), str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Prediction(**json.loads(output.splitlines()[-1]))


def median(found: list[Prediction]) -> Prediction:
    return Prediction(
        **{name: statistics.median(getattr(one, name) for one in found) for name in FIGURES}
    )


def compare(checkpoint: Path, rounds: int, home: Path) -> None:
    setups = planned(checkpoint)
    folders = {}
    for one in setups:
        runtime = one.setup.runtime
        folders[runtime] = home / f"{checkpoint.stem}-{runtime}"
        convert(str(checkpoint), target="cpu", runtime=runtime, output=folders[runtime])
    promised, measured, probes = defaultdict(list), defaultdict(list), []
    for _ in range(rounds):
        probes.append(Probe(home / "scratch").run(setups))
        for one, outcome in zip(setups, probes[-1].probed, strict=True):
            if outcome.prediction is None:
                sys.exit(f"{outcome.runtime}: {outcome.why}")
            promised[outcome.runtime].append(outcome.prediction)
            measured[outcome.runtime].append(run_whole(one.setup, folders[outcome.runtime]))
    report(promised, measured, probes)


def report(
    promised: dict[str, list[Prediction]],
    measured: dict[str, list[Prediction]],
    probes: list[ProbeResult],
) -> None:
    took = [one.seconds for one in probes]
    others = [one.others for one in probes]
    print(f"the probe took {min(took):.1f} to {max(took):.1f} s; other programs had at most")
    print(f"{max(others):.0%} of the processor\n")
    print(f"{'':22}{'promised':>12}{'measured':>12}{'ratio':>8}")
    for runtime, found in promised.items():
        one, other = median(found), median(measured[runtime])
        for name in FIGURES:
            line(f"{runtime} {name}", getattr(one, name), getattr(other, name))
        for work in KINDS_OF_WORK.values():
            line(f"{runtime} {work.name}, s", one.seconds(work), other.seconds(work))
    print()
    for work in KINDS_OF_WORK.values():
        fastest = min(measured, key=lambda runtime: median(measured[runtime]).seconds(work))
        free = read_memory().available
        choices = [choose_probed(one, work, free) for one in probes]
        taken = [choice.runtime for choice in choices if choice]
        best = median(measured[fastest]).seconds(work)
        worst = max(median(measured[runtime]).seconds(work) / best for runtime in taken)
        print(
            f"{work.name}: fastest {fastest}; taken {', '.join(taken)}; at worst {worst:.2f} of it"
        )


def line(name: str, promised: float, measured: float) -> None:
    ratio = f"{promised / measured:8.2f}" if measured else f"{'-':>8}"
    print(f"{name:22}{promised:12.4g}{measured:12.4g}{ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare(asked.checkpoint, asked.rounds, asked.home or Path(scratch))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--whole"]:
        print(json.dumps(asdict(whole(json.loads(sys.argv[2]), sys.argv[3]))))
    else:
        main()
