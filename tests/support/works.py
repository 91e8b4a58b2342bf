"""The commands that write, each on a store of its own, undisturbed and after a fault."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hostile_gguf
import lora
from batch_files import line
from fake_hub import Hub, Repo
from limited import Outcome
from program import Program, differences
from safetensors.numpy import load_file, save
from tiny_encoder import write_reader

HUB_REPO, GGUF_REPO, ADAPTER_REPO = "somebody/small", "somebody/gguf", "somebody/lora"
HUB_SPEED = 16 * 2**20
CPU = ("--device", "cpu", "--runtime", "onnx")
EVAL = ("--against", "none", "--no-tasks", "--tokens", "64", "--window", "128", "--overlap", "64")
TUNE = ("--budget", "8s", "--prompt", "8", "--tokens", "8", "--runtime", "onnx")
MADE = "convert {model} --runtime onnx --weight-format int8"


@dataclass(frozen=True)
class Work:
    """A command, and those that were run before; names in braces are places."""

    command: str
    before: tuple[str, ...] = ()
    is_measured: bool = False
    """Whether what it makes depends on the machine's speed, so that only leftovers can be told."""


def _converting(runtime: str, quantizer: str) -> Work:
    recipe = f"--weight-format int4 --group-size 32 --quantizer {quantizer}"
    if quantizer in {"awq", "gptq"}:
        recipe += " --calibration {text}"
    return Work(f"convert {{model}} --runtime {runtime} {recipe}")


WORKS = {
    "pull": Work(f"pull {HUB_REPO}"),
    **{
        f"convert-{runtime}-{quantizer}": _converting(runtime, quantizer)
        for runtime in ("openvino", "onnx")
        for quantizer in ("rtn", "search", "awq", "gptq")
    },
    "convert-o": Work(f"{MADE} -o {{out}}/made"),
    "ready-weights": Work("cache prebuild {model} --device cpu", (MADE,)),
    "npu-blob": Work(
        "cache prebuild {model} --device npu --emulate --max-prompt-len 64",
        ("convert {model} --for npu",),
    ),
    "tune": Work(f"tune {{model}} {' '.join(TUNE)}", (MADE,), is_measured=True),
    "eval": Work(f"eval {{model}} {' '.join((*EVAL, *CPU))} -o {{out}}/eval.json", (MADE,)),
    "run": Work("run Hello --max-new-tokens 4 -m {model} --runtime openvino"),
    "batch": Work(f"batch {{lines}} {{out}}/out.jsonl -m {{model}} {' '.join(CPU)}", (MADE,)),
}


def serve_from(hub: Hub, checkpoint: Path) -> None:
    """Have the hub keep the checkpoint under `HUB_REPO`, and send it in a second or two.

    It has an adapter of that, and another model, in GGUF, too.
    """
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    hub.repos[HUB_REPO] = Repo(files, bytes_per_s=HUB_SPEED)
    base = load_file(checkpoint / "model.safetensors")
    adapter = {
        "adapter_config.json": json.dumps(lora.stated("fused")).encode(),
        "adapter_model.safetensors": save(lora.tensors("fused", base)),
    }
    hub.repos[ADAPTER_REPO] = Repo(adapter)
    hub.repos[GGUF_REPO] = Repo({"model.gguf": gguf_bytes()})


def gguf_bytes() -> bytes:
    """A small model in GGUF."""
    return hostile_gguf.encoded(hostile_gguf.SOUND, hostile_gguf.tensors())


def write_places(folder: Path, checkpoint: Path) -> dict[str, Path]:
    """What the commands of `WORKS` read, by name."""
    lines, text = folder / "in.jsonl", folder / "calibration.txt"
    asked = (line(f"id-{at}", f"Count to {at}.", max_tokens=8, temperature=0) for at in range(30))
    lines.write_text("".join(asked))
    text.write_text("".join(f"Line {at} of a text to calibrate with.\n" for at in range(100)))
    encoder = write_reader(folder / "encoder", "bert", modules=["Pooling", "Normalize"])
    return {"model": checkpoint, "lines": lines, "text": text, "encoder": encoder}


class Trial:
    """A work that is run undisturbed first, and then again and again from the same start."""

    def __init__(self, work: Work, program: Program, places: Mapping[str, Any]) -> None:
        self.program = program
        self.places = places
        self._is_measured = work.is_measured
        self._command = work.command.format_map(places).split()
        for command in work.before:
            _assert_done(program.run(*command.format_map(places).split()))
        program.keep()
        begun = time.monotonic()
        first = self._whole()
        self.seconds = time.monotonic() - begun
        self.nbytes = program.nbytes
        program.restore()
        self.steps = program.steps(*self._command)
        """Changes of files that it makes; see `planted_disk`."""
        second = program.contents()
        program.restore()
        # what two runs that nobody disturbed have otherwise may be otherwise
        self._wanted = {
            name: digest if second.get(name) == digest and not work.is_measured else ""
            for name, digest in first.items()
        }

    @property
    def command(self) -> list[str]:
        return self._command

    def run(self, **limits: Any) -> Outcome:
        return self.program.run(*self._command, **limits)

    def wrong_now(self) -> list[str]:
        """What is listed without being whole."""
        return self.program.half_made()

    def wrong_when_whole(self) -> list[str]:
        """What differs from the undisturbed run when the command has done its work."""
        found = self.program.contents()
        if self._is_measured:
            found = {
                name: found.get(name, "") for name in {*self._wanted, *filter(_is_left, found)}
            }
        return self.wrong_now() + differences(found, self._wanted)

    def wrong_after_next_run(self) -> list[str]:
        """What is wrong when the same command is run again a day later, and nothing disturbs it."""
        self.program.age()
        outcome = self.run()
        # a result is never overwritten: it was written whole before the fault, or never
        if outcome.status != 0 and "exists already" not in outcome.err:
            return [f"run again: {outcome.err[-400:]}"]
        return self.wrong_when_whole()

    def _whole(self) -> dict[str, str]:
        _assert_done(self.run())
        assert self.wrong_now() == []
        return self.program.contents()


def _is_left(name: str) -> bool:
    """Whether a file is hidden, in a hidden folder, or temporary."""
    return name.startswith("tmp/") or any(part.startswith(".") for part in name.split("/"))


def _assert_done(outcome: Outcome) -> None:
    assert outcome.status == 0, outcome.err


def misreported(outcome: Outcome) -> list[str]:
    """How a command that failed says so otherwise than in one line that names what failed."""
    told = [text for text in outcome.err.splitlines() if text.startswith("aipc: ")]
    if outcome.is_crash or outcome.status is None:
        return [f"ended with {outcome.status}: {outcome.err[-400:]}"]
    if len(told) != 1 or "internal error" in told[0]:
        return [f"says {told or outcome.err[-400:]}"]
    return []
