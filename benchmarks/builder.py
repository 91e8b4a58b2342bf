"""ONNX artifacts: ours against onnxruntime-genai's model builder, the same bits, in one run.

    python benchmarks/builder.py WORK [--source CHECKPOINT] [--no-peer] [--rounds 9]

Without --source a checkpoint of Phi-3-mini's size is made in WORK.  For it the builder takes
24 GB of memory: without so much, --no-peer measures ours alone.  Both write int4, symmetric, in
blocks of 32, embedding and head too where the builder does it; speed is measured in one process
with both loaded, in turn, and what is quoted is the median of the pairs.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import peers
from process import Run, measure

RECIPE = ["--runtime", "onnx", "--weight-format", "int4", "--group-size", "32", "--all-layers"]
PROMPT_TOKENS = 128


def aipc_command(source: Path, target: Path) -> list[str]:
    return [sys.executable, "-m", "aipc", "convert", str(source), *RECIPE, "-o", str(target)]


def builder_command(work: Path, source: Path, target: Path) -> list[str]:
    python = peers.optimum(work / "peers") / "python"
    builder = [str(python), "-m", "onnxruntime_genai.models.builder", "-p", "int4", "-e", "cpu"]
    return [*builder, "-i", str(source), "-o", str(target), "-c", str(target / "cache")]


def convert(name: str, command: list[str], source: Path, target: Path) -> Run:
    shutil.rmtree(target, ignore_errors=True)
    for file in source.glob("*.safetensors"):  # both begin with it in the page cache
        subprocess.run(["cat", str(file)], stdout=subprocess.DEVNULL, check=True)
    result = measure(command, target.with_suffix(".log"))
    size = (target / "model.onnx.data").stat().st_size
    print(f"{name:8} {result.seconds:8.1f} s {result.peak_bytes / 1e9:8.2f} GB peak"
          f" {size / 1e9:8.2f} GB weights", flush=True)  # fmt: skip
    return result


class Participant:
    """A loaded folder; ``run`` gives seconds to the first token and seconds a token after it."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime_genai

        self._genai = onnxruntime_genai
        self._model = onnxruntime_genai.Model(str(folder))

    def run(self, tokens: int) -> tuple[float, float]:
        length = PROMPT_TOKENS + tokens + 1
        parameters = self._genai.GeneratorParams(self._model)
        parameters.set_search_options(max_length=length, min_length=length, do_sample=False)
        generator = self._genai.Generator(self._model, parameters)
        started = time.perf_counter()
        generator.append_tokens(list(range(1000, 1000 + PROMPT_TOKENS)))
        generator.generate_next_token()
        first = time.perf_counter()
        for _ in range(tokens):
            generator.generate_next_token()
        return first - started, (time.perf_counter() - first) / tokens


def compare(folders: dict[str, Path], rounds: int, tokens: int) -> None:
    loaded = {name: Participant(folder) for name, folder in folders.items()}
    for participant in loaded.values():
        participant.run(1)
    runs = [{name: loaded[name].run(tokens) for name in in_turn(list(loaded), number)}
            for number in range(rounds)]  # fmt: skip
    for part, unit in enumerate(("s to the first token", "s a token")):
        for name in loaded:
            print(f"{name:8} {statistics.median(run[name][part] for run in runs):8.3f} {unit}")
        if len(loaded) == 2:
            ours, theirs = loaded
            ratios = [run[ours][part] / run[theirs][part] for run in runs]
            print(f"{ours} / {theirs}: {statistics.median(ratios):.3f} "
                  f"(pairs {min(ratios):.3f} to {max(ratios):.3f})", flush=True)  # fmt: skip


def in_turn(names: list[str], number: int) -> list[str]:
    """Either goes first in every second round."""
    return sorted(names, reverse=number % 2 == 1)


def checkpoint(work: Path) -> Path:
    source = work / "phi3-mini-size"
    if not (source / "tokenizer_config.json").exists():
        script = Path(__file__).with_name("phi3_size_checkpoint.py")
        subprocess.run([sys.executable, str(script), str(source)], check=True)
    return source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--source", type=Path, help="a checkpoint folder with safetensors")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--no-peer", action="store_true")
    asked = parser.parse_args()
    source = asked.source or checkpoint(asked.work)
    folders = {"aipc": asked.work / "onnx-aipc"}
    ours = convert("aipc", aipc_command(source, folders["aipc"]), source, folders["aipc"])
    if not asked.no_peer:
        folders["builder"] = asked.work / "onnx-builder"
        command = builder_command(asked.work, source, folders["builder"])
        theirs = convert("builder", command, source, folders["builder"])
        print(f"{'ratio':8} {ours.seconds / theirs.seconds:8.3f}   "
              f"{ours.peak_bytes / theirs.peak_bytes:8.4f}", flush=True)  # fmt: skip
    compare(folders, asked.rounds, asked.tokens)


if __name__ == "__main__":
    main()
