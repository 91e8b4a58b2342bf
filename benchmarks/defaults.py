"""Whether the untuned default is the best that can be had here, in one run of alternating starts.

    python benchmarks/defaults.py MODEL [--gguf FILE] [--rounds 2] [--only NAME ...]
        [--parts whole starts] [--whole-prompt 32] [--isa AVX2] [--json FILE]

MODEL is a checkpoint folder or a GGUF file.  aipc with no choice made ("default") runs beside both
runtimes with every recipe and, on a GGUF file, llama.cpp (`aipc bench --install-peer llama_cpp`).
"whole" are whole processes: `aipc run` with 32 tokens of prompt and of answer; there are none of a
model whose template takes more than --whole-prompt or that ends its answer sooner.  "starts" are
load, the first token of a first prompt of 256, that of a second one, milliseconds a token, peak
memory.  Artifacts are converted into the store beforehand.  --only takes names as the tables have
them, or patterns of them.

--isa limits OpenVINO and numpy's BLAS to an older processor's instructions; ONNX Runtime and
llama.cpp have no such switch, and the output says so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from defaults_tables import DEFAULT, LLAMA_CPP, WHOLE, Found, values, write
from starts import start

from aipc.cli.screen.output import notice
from aipc.convert.recipe import Recipe
from aipc.devices.system.cpu import read_cpu
from aipc.errors import AipcError, MeasurementError
from aipc.generate import TextPipeline
from aipc.measure.bench.lineup import artifact_facts, own_options
from aipc.measure.bench.plan import BenchPlan
from aipc.measure.bench.runner import ParticipantProcess
from aipc.measure.peers import peers
from aipc.models.store import Store
from aipc.runtimes.limits import Limits, Rate, better
from aipc.session.convert import convert
from aipc.session.place import SessionOptions
from aipc.session.prepare import prepare_session

RECIPES = {
    "g128": Recipe(),
    "g64": Recipe(group_size=64),
    "g32": Recipe(group_size=32),
    "g32 asym": Recipe(group_size=32, sym=False),
    "int8": Recipe("int8"),
}
PROMPT, TOKENS = 256, 32
WHOLE_TOKENS = 32
STORY = "Tell me a long story about a lighthouse, the sea around it and the people who kept it. "
BLAS = {"AVX2": "Haswell", "AVX2_VNNI": "Haswell", "AVX512_CORE": "SkylakeX"}
"""oneDNN's name of an instruction set → OpenBLAS's of a processor that has it."""
AVX2_ALONE = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
"""As OpenVINO has it on a processor of AVX2 alone; one that is limited to it fails otherwise."""
LIMITS = (
    "import json; from dataclasses import asdict; from aipc.runtimes.limits import measure_limits;"
    "print(json.dumps(asdict(measure_limits('CPU'))))"
)


@dataclass(frozen=True)
class Participant:
    """``whole`` gives the seconds of a whole process, for a prompt of so many tokens."""

    name: str
    artifact: Path
    make: Callable[[], ParticipantProcess]
    whole: Callable[[int], float] | None


class Lineup:
    """Makes the participants that ``wanted`` patterns name."""

    def __init__(self, model: str, gguf: Path | None, isa: str | None, wanted: list[str]) -> None:
        self._model, self._gguf, self._wanted = model, gguf, wanted
        self._openvino = AVX2_ALONE if isa == "AVX2" else {}
        self._store = Store()

    def participants(self) -> Iterator[Participant]:
        if self._wants(DEFAULT):
            wanted = SessionOptions(device="cpu")
            folder = prepare_session(self._model, wanted, store=self._store, notify=notice).folder
            yield self._own(DEFAULT, folder, self._model, "auto", is_whole=True)
        for runtime in ("openvino", "onnx"):
            for short, recipe in RECIPES.items():
                name = f"{runtime} {short}"
                if self._wants(name):
                    made = convert(
                        self._model, recipe, runtime=runtime, store=self._store, notify=notice
                    )
                    is_whole = recipe == Recipe()
                    yield self._own(name, made.path, str(made.path), runtime, is_whole=is_whole)
        if self._gguf is None:
            notice(f"{LLAMA_CPP} takes no part: it needs a GGUF file, --gguf")
        elif self._wants(LLAMA_CPP):
            yield self._llama_cpp(self._gguf)

    def _wants(self, name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in self._wanted)

    def _own(
        self, name: str, artifact: Path, model: str, runtime: str, *, is_whole: bool
    ) -> Participant:
        """Loaded by the words of a user's program."""
        properties = self._openvino if runtime == "openvino" else {}
        wanted = SessionOptions(device="cpu", runtime=runtime, properties=properties)
        options = own_options(BenchPlan(model, wanted), self._store)
        script = Path(peers.__file__).with_name("aipc.py")
        command = [sys.executable, "-m", "aipc", "run", "-m", self._model, "--json"]
        command += ["--device", "cpu", "--max-new-tokens", str(WHOLE_TOKENS)]
        command += ["--temperature", "0", "--repetition-penalty", "1"]
        command += [] if runtime == "auto" else ["--runtime", runtime]
        command += [f"--ov-config={key}={value}" for key, value in properties.items()]
        return Participant(
            name,
            artifact,
            lambda: ParticipantProcess(name, None, script, options),
            (lambda count: aipc_run(command, artifact, count)) if is_whole else None,
        )

    def _llama_cpp(self, gguf: Path) -> Participant:
        peer, cpu = peers.find_peer("llama_cpp"), read_cpu()
        program = peers.find_interpreter(peer, self._store)
        options = {
            "artifact": str(gguf),
            "threads": cpu.usable_threads,
            "tokens": PROMPT + TOKENS,
            "packages": str(peers.packages_folder(peer, self._store)),
        }

        def make() -> ParticipantProcess:
            return ParticipantProcess(LLAMA_CPP, program, peer.script, options)

        return Participant(LLAMA_CPP, gguf, make, lambda count: whole_process(make(), count))


def prompt_text(artifact: Path, count: int) -> str:
    """A text of which the artifact's template makes ``count`` tokens, or the fewest above it."""
    text, story = TextPipeline.read(artifact), STORY * count

    def tokens(end: int) -> int:
        return len(text.encode([{"role": "user", "content": story[:end]}]))

    return story[: next(end for end in range(1, len(story)) if tokens(end) >= count)]


def aipc_run(command: list[str], artifact: Path, count: int) -> float:
    """Seconds of the whole process.

    Raises:
        MeasurementError: it failed, or had another number of tokens.
    """
    prompt = prompt_text(artifact, count)
    started = time.perf_counter()
    done = subprocess.run([*command, prompt], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise MeasurementError(done.stderr.strip().splitlines()[-1])
    usage = json.loads(done.stdout)["usage"]
    tokens = usage["prompt_tokens"], usage["completion_tokens"]
    if tokens != (count, WHOLE_TOKENS):
        raise MeasurementError(f"{tokens[0]}+{tokens[1]} tokens, not {count}+{WHOLE_TOKENS}")
    return seconds


def whole_process(runner: ParticipantProcess, count: int) -> float:
    """Seconds from the start of the process to the answer's last token."""
    prompt = random.Random(1).choices(range(300, 30000), k=count)
    started = time.perf_counter()
    try:
        runner.load()
        runner.run([prompt], WHOLE_TOKENS)
        return time.perf_counter() - started
    finally:
        runner.close()


def contest(participants: list[Participant], asked: argparse.Namespace, found: Found) -> None:
    """Every round has all of them, in turn from the first and from the last."""
    for number in range(asked.rounds):
        for part in asked.parts:
            for one in participants[:: -1 if number % 2 else 1]:
                if part == "starts":
                    runs = partial(start, prompt=PROMPT, tokens=TOKENS, seed=number + 1)
                    measure(one, part, lambda one=one, runs=runs: values(runs(one.make())), found)
                elif one.whole:
                    runs = partial(one.whole, asked.whole_prompt)
                    measure(one, part, lambda runs=runs: {WHOLE: runs()}, found)
        save(found, asked.json)


def save(found: Found, file: Path | None) -> None:
    if file is not None:
        file.write_text(json.dumps(found.facts, indent=1) + "\n")


def measure(
    one: Participant, part: str, work: Callable[[], dict[str, float]], found: Found
) -> None:
    """Once, unless it has failed before."""
    label = f"{one.name}, {part}"
    if label in found.failures:
        return
    read_all(one.artifact)
    try:
        figures = work()
    except MeasurementError as error:
        found.failures[label] = str(error)[:200]
        notice(f"{label}: failed, {error}")
        return
    found.add(one.name, figures)
    shown = ", ".join(f"{figure} {value:.2f}" for figure, value in figures.items())
    notice(f"{label}: {shown}")


def read_all(artifact: Path) -> None:
    """Into the system's file cache, which need not hold every participant's files at once."""
    for file in [artifact] if artifact.is_file() else artifact.iterdir():
        with suppress(OSError), file.open("rb") as opened:
            while opened.read(1 << 24):
                pass


def measure_limits() -> Limits:
    """In a process of its own, which obeys --isa."""
    command = [sys.executable, "-c", LIMITS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rates = json.loads(done.stdout)
    return Limits(*(rate and Rate(**rate) for rate in (rates["bandwidth"], rates["matrix"])))


def limit_instructions(isa: str) -> str:
    """Of every process that is started from now on; what to say of it."""
    os.environ |= {"ONEDNN_MAX_CPU_ISA": isa, "OPENBLAS_CORETYPE": BLAS[isa]}
    return f"OpenVINO and BLAS limited to {isa}; ONNX Runtime and llama.cpp are not"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--gguf", type=Path, help="llama.cpp's; MODEL itself where it is one")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME")
    parts = ("whole", "starts")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--whole-prompt", type=int, default=WHOLE_TOKENS)
    parser.add_argument("--isa", choices=BLAS)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    isa = limit_instructions(asked.isa) if asked.isa else "every instruction of the processor"
    gguf = asked.gguf or (Path(asked.model) if asked.model.endswith(".gguf") else None)
    try:
        participants = list(Lineup(asked.model, gguf, asked.isa, asked.only).participants())
    except AipcError as error:
        sys.exit(str(error))
    if not participants:
        sys.exit("--only names no participant; they are default, 'openvino g128', llama.cpp …")
    artifacts = {one.name: artifact_facts(one.artifact, {}) for one in participants}
    lengths = {"whole": (asked.whole_prompt, WHOLE_TOKENS), "starts": (PROMPT, TOKENS)}
    found = Found(asked.model, isa, lengths, measure_limits(), artifacts)
    contest(participants, asked, found)
    found.limits = better(found.limits, measure_limits())
    save(found, asked.json)
    write(found)


if __name__ == "__main__":
    main()
