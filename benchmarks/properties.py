"""Prefill and decode speed of an artifact under several sets of OpenVINO properties, in one run.

    python benchmarks/properties.py ARTIFACT [--prompt 256] [--tokens 32] [--rounds 2]

The last column is the share of the limit: the speed at which this machine reads the artifact's
weights once a token from memory.  The source of what choose/rules.toml, convert/targets.toml and
measure/tune/candidates.toml say of these properties.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from aipc.artifact.files import OPENVINO_WEIGHTS
from aipc.measure.bench.timing import engine_answers, time_answers
from aipc.runtimes.limits import read_bandwidth
from aipc.runtimes.registry import RUNTIMES

HINT, GROUP = "INFERENCE_PRECISION_HINT", "DYNAMIC_QUANTIZATION_GROUP_SIZE"
SETS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "f32": {HINT: "f32"},
    "f32, group 128": {HINT: "f32", GROUP: "128"},
    "f32, group 64": {HINT: "f32", GROUP: "64"},
    "default, group 128": {GROUP: "128"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    options = parser.parse_args()
    nbytes = (options.artifact / OPENVINO_WEIGHTS).stat().st_size
    bandwidth = read_bandwidth().per_second
    limit = nbytes / bandwidth
    print(f"{nbytes / 1e9:.2f} GB at {bandwidth / 1e9:.1f} GB/s: {limit * 1e3:.1f} ms a token")
    for _ in range(options.rounds):
        for name in options.sets:
            measure(name, options, limit)


def measure(name: str, options: argparse.Namespace, limit_s: float) -> None:
    draw = np.random.default_rng(1)
    engine = RUNTIMES.get("openvino").open(options.artifact, "cpu", SETS[name])
    answer = engine_answers(engine)

    def times(tokens: int) -> tuple[float, ...]:
        """Seconds from the start to each token of an answer to a prompt of its own."""
        prompt = draw.integers(300, 30_000, options.prompt).tolist()
        return time_answers(answer, [prompt], tokens).times[0]

    cold, warm = times(2)[0], times(options.tokens)
    decode = statistics.median(after - before for before, after in pairwise(warm))
    print(
        f"{name:20} first prompt {cold:6.1f} s   prefill {options.prompt / warm[0]:6.1f} tokens/s"
        f"   decode {decode * 1e3:6.1f} ms a token   {limit_s / decode:4.0%}",
        flush=True,
    )
    engine.close()


if __name__ == "__main__":
    main()
