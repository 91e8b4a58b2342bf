"""What `cuda_check` does in each step, in a process of its own.

    python benchmarks/cuda_check/steps.py STEP OPTIONS

OPTIONS is JSON.  A step writes what it found into the file ``found``: ``tables`` and ``notes`` for
people, ``wrong`` where what was computed is not right; whatever it raises, it failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

from logits import compare

from aipc.devices import kind_of
from aipc.devices.nvml import open_nvml
from aipc.errors import AipcError
from aipc.measure.bench import result as bench_result
from aipc.measure.bench.figures import figures, load_seconds, within
from aipc.measure.bench.workload import cases

BENCHMARKS = Path(__file__).resolve().parents[1]
QUESTION = "Count from one to five in words."
DRIVER = "name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.memory,compute_cap"
PROMPT, STREAMS = 256, "1,8"
ROOM = {"size-int4": 2.4e9, "size-fp16": 8e9}
"""Bytes of the GPU's memory that each participant takes with Phi-3-mini's size, and its cache."""
RATIOS = ("first token", "decode", "whole")

Options = dict[str, Any]
Found = dict[str, Any]


def machine(_: Options) -> Found:
    """Nothing that tells whose machine it is: no names of hosts or users, no paths, no numbers."""
    from aipc.devices.machine import this_machine

    here = this_machine()
    rows = [
        ["processor", f"{here.cpu.name}, {here.cpu.usable_threads} threads"],
        ["memory", f"{here.memory.total / 1e9:.0f} GB"],
        ["system", f"{here.system}, Python {here.python}"],
        *(["package", f"{name} {version}"] for name, version in here.versions.items()),
        *(["reached", f"{one.name}: {one.full_name}, driver {one.driver}"] for one in here.devices),
        *(["problem", problem] for problem in here.problems),
    ]
    for gpu in gpus():
        used, total = gpu.memory() or (0, 0)
        rows.append(["NVML", f"{gpu.name()}: {used / 1e9:.1f} of {total / 1e9:.1f} GB in use"])
        rows.append(["NVML, before any work", f"{gpu.power_w()} W, {gpu.energy_j()} J so far"])
    rows += [["nvidia-smi", line] for line in nvidia_smi()]
    return {"tables": [{"title": "the machine", "header": ["what", "is"], "rows": rows}]}


def gpus() -> tuple[Any, ...]:
    nvml = open_nvml()
    return () if nvml is None else nvml.gpus()


def nvidia_smi() -> list[str]:
    command = ["nvidia-smi", f"--query-gpu={DRIVER}", "--format=csv"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split(
            "\n"
        )
    except (OSError, subprocess.CalledProcessError) as error:
        return [f"none: {type(error).__name__}"]


def answer(options: Options) -> Found:
    """As `aipc run` does: converted, placed, judged by the canary, asked."""
    import aipc

    began = time.perf_counter()
    with aipc.load(options["model"], device=options["device"], runtime="onnx") as session:
        ready = time.perf_counter()
        text = session.generate(QUESTION, max_new_tokens=32, temperature=0).text
        facts = session.facts
    rows = [
        ["device", facts["device"]],
        ["nodes by provider", json.dumps(facts.get("placement"))],
        ["loaded, canary included", f"{ready - began:.1f} s"],
        [QUESTION, text],
    ]
    header = ["what", "is"]
    return {"tables": [{"title": "an answer", "header": header, "rows": rows}]}


def logits(options: Options, weights: str) -> Found:
    """Of CUDA's folder in rehearsals too: the CPU computes it."""
    folder = Path(options["work"]) / f"small-{weights}-cuda"
    convert(options["model"], folder, weights, "cuda")
    return compare(folder, options["device"], options["lengths"])


def tests(options: Options) -> Found:
    """A machine whose GPU the tests do not see skips them all, which is no pass."""
    report = Path(options["work"]) / "tests.xml"
    command = [sys.executable, "-m", "pytest", "tests/runtimes/onnx/test_devices.py"]
    command += ["-p", "no:cacheprovider", f"--junitxml={report}"]
    subprocess.run(command, check=False, cwd=BENCHMARKS.parent)
    cases_run = list(ET.parse(report).getroot().iter("testcase"))
    rows = [[case.get("name"), verdict(case)] for case in cases_run]
    bad = [name for name, how in rows if how != "passed"]
    rehearsed = kind_of(options["device"]) == "cpu"
    wrong = f"{len(bad)} of {len(rows)} did not pass" if (bad or not rows) and not rehearsed else ""
    header = ["test", "outcome"]
    return {"wrong": wrong, "tables": [{"title": "tests", "header": header, "rows": rows}]}


def verdict(case: ET.Element) -> str:
    inner = [f"{one.tag}: {one.get('message', '')}"[:200] for one in case if one.get("message")]
    return inner[0] if inner else "passed"


def make_size(options: Options, weights: str) -> Found:
    checkpoint = Path(options["work"]) / "phi3-size"
    took = {}
    if not checkpoint.exists():
        script = ["phi3_size_checkpoint.py", checkpoint, "--layers", options["layers"]]
        took["checkpoint"] = timed(lambda: call(*script))
    kind = kind_of(options["device"])
    folder = Path(options["work"]) / f"size-{weights}-{kind}"
    took[folder.name] = timed(lambda: convert(str(checkpoint), folder, weights, kind))
    if weights == "int4" and llama_cpp().exists():
        gguf = Path(options["work"]) / "size-Q4_0.gguf"
        took["llama.cpp's Q4_0"] = timed(lambda: call("phi3_size_gguf.py", checkpoint, gguf))
    rows = [[name, f"{seconds:.1f}"] for name, seconds in took.items()]
    return {"tables": [{"title": "made", "header": ["what", "s"], "rows": rows}]}


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def call(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(BENCHMARKS / script), *map(str, arguments)], check=True)


def convert(model: str, folder: Path, weights: str, target: str) -> None:
    """Random weights, those of the checkpoint that was written here, need no search."""
    if not folder.exists():
        command = [sys.executable, "-m", "aipc", "convert", model, "-o", str(folder)]
        quick = ["--quantizer", "rtn"] if weights != "fp16" and Path(model).is_dir() else []
        flags = ["--for", target, "--runtime", "onnx", "--weight-format", weights, *quick]
        subprocess.run([*command, *flags], check=True)


def llama_cpp() -> Path:
    from aipc.measure.peers.peers import find_peer, packages_folder
    from aipc.models.store import Store

    return packages_folder(find_peer("llama_cpp"), Store())


def small_speed(options: Options) -> Found:
    from aipc.models import names
    from aipc.models.store import Store

    kind = kind_of(options["device"])
    folder = Path(options["work"]) / f"small-int4-{kind}"
    convert(options["model"], folder, "int4", kind)
    gguf = Store().fetch(names.resolve(options["model"])) if llama_cpp().exists() else None
    return speed("small-int4", folder, gguf, options)


def size_speed(options: Options, weights: str) -> Found:
    gguf = Path(options["work"]) / "size-Q4_0.gguf"
    folder = Path(options["work"]) / f"size-{weights}-{kind_of(options['device'])}"
    with_gguf = weights == "int4" and gguf.exists()
    return speed(f"size-{weights}", folder, gguf if with_gguf else None, options)


def speed(name: str, folder: Path, gguf: Path | None, options: Options) -> Found:
    """`aipc bench`: all stay loaded together, so peers are left out where memory is too small."""
    peers = ["onnxruntime_genai", *([f"llama_cpp={gguf}"] if gguf else [])]
    notes = []
    known = [memory for memory in (gpu.memory() for gpu in gpus()) if memory is not None]
    free = min((total - used for used, total in known), default=None)
    if free is not None and free < (len(peers) + 1) * ROOM.get(name, 1e9):
        notes.append(f"without {' and '.join(peers)}: {free / 1e9:.1f} GB of the GPU's are free")
        peers = []
    file = Path(options["out"]) / f"bench-{name}.json"
    command = [sys.executable, "-m", "aipc", "bench", str(folder), "--device", options["device"]]
    command += ["--runtime", "onnx", "--no-canary", "--prompt", str(PROMPT), "--batch", STREAMS]
    command += ["--tokens", str(options["tokens"]), "--repeats", str(options["repeats"])]
    for peer in peers:
        command += ["--peer", peer]
    subprocess.run([*command, "-o", str(file)], check=True)
    return {"notes": notes, **tables(bench_result.read(file))}


def tables(result: bench_result.Result) -> Found:
    """Medians, and how many times as fast aipc is as each peer, with the interval."""
    rows, failures = [], []
    for one in result.participants:
        if one.failure:
            failures.append(f"{one.name}: {one.failure}")
        for case in cases(result.workload):
            found = figures(one, case, result.limits)
            if found is not None:
                step = None if found.step_s is None else f"{1e3 * found.step_s:.2f}"
                joules = found.energy_per_token_j
                rows.append([
                    one.name, one.device, case.batch, f"{found.first_token_s:.3f}", step,
                    f"{found.throughput_per_s:.1f}", None if joules is None else f"{joules:.2f}",
                    f"{load_seconds(one):.1f}",
                ])  # fmt: skip
    ratios = [
        [one.theirs, one.case.batch, one.what, f"{one.times.middle:.2f}",
         f"{one.times.low:.2f} to {one.times.high:.2f}"]
        for one in within(result) if one.case is not None and one.what in RATIOS
    ]  # fmt: skip
    title = f"{result.participants[0].artifact.name}, prompts of {PROMPT}"
    header = ["who", "on", "streams", "first token s", "step ms", "tokens/s", "J/token", "load s"]
    times = ["than", "streams", "at", "times as fast is aipc", "interval"]
    return {
        "tables": [
            {"title": title, "header": header, "rows": rows},
            {"title": "ratios", "header": times, "rows": ratios},
        ],
        "notes": [*failures, *result.noise.warnings],
    }


STEPS: dict[str, Callable[[Options], Found]] = {
    "machine": machine,
    "answer": answer,
    "tests": tests,
    "small-int4": small_speed,
    **{
        f"logits-{one}": lambda given, one=one: logits(given, one)
        for one in ("int4", "int8", "fp16")
    },
    **{
        f"size-{one}-make": lambda given, one=one: make_size(given, one) for one in ("int4", "fp16")
    },
    **{f"size-{one}": lambda given, one=one: size_speed(given, one) for one in ("int4", "fp16")},
}


def main() -> None:
    options = json.loads(sys.argv[2])
    try:
        found = STEPS[sys.argv[1]](options)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # it has said why in its last line
    except AipcError as error:
        sys.exit(f"aipc: {error}")
    Path(options["found"]).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
