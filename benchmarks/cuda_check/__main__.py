"""One NVIDIA GPU, at most eight minutes: does aipc compute right there, and how fast beside peers?

    python benchmarks/cuda_check prepare DIR                           # where there is a network
    python3 DIR/aipc/benchmarks/cuda_check run OUT --bring DIR         # where the GPU is
    python benchmarks/cuda_check run OUT                               # the same, with what is here
    python benchmarks/cuda_check run OUT --device cpu --layers 2       # a rehearsal without a GPU

`prepare` puts into DIR all that a bare machine needs but its driver and this version of Python:
aipc, its wheels, CUDA's, the small model, Node.js and llama.cpp (2.3 GB); `run --bring DIR` makes
an environment of it without a network.  Steps have times of their own: one that takes longer is cut
and named, one that fails is named, and the others go on.  OUT gets results.json and summary.md,
both written anew after every step, log.txt, and a result of `aipc bench` for each benchmark.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from bring import prepare
from schedule import STEPS, Schedule


def run(asked: argparse.Namespace) -> int:
    asked.out.mkdir(parents=True, exist_ok=True)
    if (asked.out / "results.json").exists():
        sys.exit(f"'{asked.out}' has results already: name another folder")
    work = asked.work or asked.out.with_name(f"{asked.out.name}-work")
    is_new = not work.exists()
    work.mkdir(parents=True, exist_ok=True)
    try:
        schedule = Schedule(asked, asked.out.resolve(), work.resolve())
        for step in STEPS:
            if step.name in (asked.steps or step.name):
                schedule.take(step)
    finally:
        if is_new and not asked.keep_work:
            shutil.rmtree(work, ignore_errors=True)
    print((asked.out / "summary.md").read_text("utf-8"))
    return 0 if schedule.is_good else 1


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("prepare", help="collect all that a bare machine needs")
    making.add_argument("folder", type=Path)
    making.add_argument("--python", help="the bare machine's version, 3.12 say; else this one's")
    making.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    running = commands.add_parser("run", help="check and measure")
    running.add_argument("out", type=Path)
    running.add_argument("--bring", type=Path, help="the folder that `prepare` made")
    running.add_argument("--device", default="cuda", help="cuda, cuda.1 …, or cpu to rehearse")
    running.add_argument("--minutes", type=float, default=8)
    running.add_argument("--steps", nargs="+", choices=[step.name for step in STEPS])
    running.add_argument("--model", default="smollm2-135m", help="the small one")
    running.add_argument("--lengths", type=int, nargs="+", default=[16, 512, 2000])
    running.add_argument("--tokens", type=int, default=128, help="of each answer that is timed")
    running.add_argument("--repeats", type=int, default=6, help="of each case that is timed")
    running.add_argument("--layers", type=int, default=32, help="of the model of Phi-3-mini's size")
    running.add_argument("--work", type=Path, help="for 20 GB of models; else OUT-work")
    running.add_argument("--keep-work", action="store_true")
    return parser


def main() -> int:
    asked = arguments().parse_args()
    if asked.command == "prepare":
        prepare(asked.folder.resolve(), asked.python, asked.device)
        return 0
    return run(asked)


if __name__ == "__main__":
    sys.exit(main())
