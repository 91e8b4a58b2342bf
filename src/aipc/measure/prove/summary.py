"""A proof in Markdown, to be read in a terminal and attached to an issue."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aipc import units
from aipc.measure.prove.record import (
    EMULATED,
    MEASURED,
    SOFTWARE,
    DeviceProof,
    FoundSpeed,
    MachineProof,
)
from aipc.measure.statistics import Interval

CLAIMS = {
    MEASURED: "measured",
    EMULATED: "emulated: the CPU computed the NPU's pipeline, so no speed is judged",
    SOFTWARE: "computed on a software device: the CPU did a GPU's work, so no speed is judged",
}
_BUSY = 0.25
_ABSENT = "-"


def summary(proof: MachineProof) -> str:
    """The page; it says in words all that the file has in figures."""
    return "\n".join(_page(proof)) + "\n"


def file_stem(proof: MachineProof) -> str:
    """Such as "aipc-prove-intel-r-arc-graphics-2026-11-29": the first accelerator, else the CPU."""
    own = [one for one in proof.devices if one.kind not in {"cpu", "all"} and one.claim == MEASURED]
    name = own[0].name if own else proof.machine.processor
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "machine"
    return f"aipc-prove-{slug}-{proof.created}"


def table(proof: MachineProof) -> Iterator[str]:
    """One row a device and runtime."""
    speeds = "prompt, tokens/s | ms a token | J a token | first start"
    yield f"| device | through | verdict | tokens agreed | {speeds} |"
    yield "|---|---|---|---:|---:|---:|---:|---:|"
    for one in proof.devices:
        figures = (_prompt(one.speed), _token(one.speed), _energy(one), _first(one))
        shown = ["noisy"] * len(figures) if noise(proof) else figures
        device = f"{one.device}: {one.name}"
        cells = (device, one.runtime, one.told_verdict, _agreed(one), *shown)
        yield f"| {' | '.join(cells)} |"


def _page(proof: MachineProof) -> Iterator[str]:
    machine = proof.machine
    yield f"# aipc prove: {machine.processor}, {proof.created}"
    yield ""
    yield from table(proof)
    yield ""
    yield f"{machine_line(proof)}, aipc {proof.aipc}."
    yield ""
    took = f"It took {proof.seconds:.0f} s of {proof.minutes:g} minutes given."
    yield f"{model_line(proof)} {took}{noise(proof)}"
    yield from (f"No runtime reaches: {each}." for each in machine.unreached)
    for one in proof.devices:
        yield ""
        yield from _device(one)
    yield ""
    yield f"SHA-256 of the figures: {proof.sha256}"


def machine_line(proof: MachineProof) -> str:
    """Its processor, memory, system and versions, without an end."""
    machine = proof.machine
    cores = "" if machine.cores is None else f"{machine.cores} cores, "
    kernel = f", kernel {machine.kernel}" if machine.kernel else ""
    return (
        f"{machine.processor} ({machine.architecture}, {cores}{machine.threads} threads; "
        f"{' '.join(machine.features) or 'no matrix instructions known'}), "
        f"{units.amount(machine.memory_bytes)} of memory, {machine.system}{kernel}, "
        f"Python {machine.python}, "
        f"{', '.join(f'{name} {version}' for name, version in machine.versions.items())}"
    )


def model_line(proof: MachineProof) -> str:
    """A sentence."""
    model = proof.model
    name = model.name if model.name != "another" else "one that is not in the catalogue"
    size = "" if model.parameters is None else f", {model.parameters / 1e6:,.0f} million parameters"
    return f"Model: {name}{size}, a context of {model.context:,} tokens."


def noise(proof: MachineProof) -> str:
    """A sentence where other programs disturbed it, else nothing."""
    if proof.others_share < _BUSY:
        return ""
    return (
        f" Noisy: other programs took {proof.others_share:.0%} of the processor, so no speed here "
        "is the machine's."
    )


def _device(one: DeviceProof) -> Iterator[str]:
    yield f"## {one.device} through {one.runtime}: {one.told_verdict}"
    yield ""
    for fault in one.faults:
        yield f"- **{fault.kind}**: {fault.words}"
    driver = f", driver {one.driver}" if one.driver else ""
    memory = f", {units.amount(one.memory_bytes)} of its own" if one.memory_bytes else ""
    formats = f", computes in {' '.join(one.precisions)}" if one.precisions else ""
    yield f"- {one.name}{driver}{memory}{formats}; {CLAIMS[one.claim]}"
    settings = ", ".join(f"{name}={value}" for name, value in one.properties.items())
    limit = f"; prompts of at most {one.longest_prompt:,} tokens" if one.longest_prompt else ""
    yield f"- weights {one.weights}; {settings or 'default properties'}{limit}"
    yield from _figures(one)
    if one.cut:
        yield f"- not tried: {'; '.join(one.cut)}"


def _figures(one: DeviceProof) -> Iterator[str]:
    if one.starts is not None:
        starts = one.starts
        yield (
            f"- start: {units.seconds(starts.first_s)}, first token after another "
            f"{units.seconds(starts.cold_token_s)}; again in a new process "
            f"{units.seconds(starts.again_s)} and {units.seconds(starts.again_token_s)}"
        )
    yield f"- placement: {_placement(one)}"
    if one.agreements:
        judge = "the same weights" if one.judged_same_weights else "its own weights"
        told = ", ".join(f"{each.what} {each.agreed}/{each.tokens}" for each in one.agreements)
        worst = max(each.shortfall for each in one.agreements)
        yield (
            f"- tokens that the CPU (through {one.judge}, {judge}) would have chosen too: {told}; "
            f"{units.nats(worst)} nats short at worst"
        )
    if one.speed is not None:
        yield (
            f"- speed, prompts of {one.speed.prompt_tokens} tokens, {one.speed.runs} runs: prompt "
            f"{_interval(one.speed.prompt_per_s, 1, 0)} tokens/s, a token "
            f"{_interval(one.speed.token_s, 1e3, 1)} ms "
            f"({one.speed.token_s.confidence:.0%} intervals of the median)"
        )
    if one.energy is not None:
        energy = one.energy
        yield (
            f"- energy ({energy.source}, all that runs on it): "
            f"{units.joules(energy.joules_per_token)} a token, {energy.watts:.1f} W"
        )
    yield from _answers(one)


def _answers(one: DeviceProof) -> Iterator[str]:
    if one.long_answer is not None:
        long = one.long_answer
        loop = "ends in a loop" if long.loops else "no loop"
        yield (
            f"- a long answer: {long.tokens} tokens, {loop}, {long.repeated:.0%} repeated, "
            f"{long.odd:.0%} odd characters"
        )
    if one.cancel is not None:
        after = "as before" if one.cancel.same_after else "another than before"
        yield (
            f"- a cancel: ended after {units.seconds(one.cancel.ended_s)}, the next answer began "
            f"after {units.seconds(one.cancel.free_s)} and was {after}"
        )
    if one.same_after_reload is not None:
        same = "the same tokens" if one.same_after_reload else "other tokens"
        yield f"- a reload: {same}"


def _placement(one: DeviceProof) -> str:
    if one.kind == "cpu":
        return "the CPU needs no proof"
    found = one.placement
    if found is None:
        return units.ABSENT
    told = [f"{count:,} operators by {name}" for name, count in found.nodes.items()]
    if found.busy_share is not None:
        told.append(f"its counter shows it {found.busy_share:.0%} busy")
    if found.process_cores is not None:
        told.append(f"the process kept {found.process_cores:.1f} cores busy")
    if not found.nodes and found.busy_share is None:
        told.insert(0, "no counter and no profile tells")
    return ", ".join(told)


def _agreed(one: DeviceProof) -> str:
    tokens = sum(each.tokens for each in one.agreements)
    return f"{sum(each.agreed for each in one.agreements)}/{tokens}" if tokens else _ABSENT


def _prompt(speed: FoundSpeed | None) -> str:
    return _ABSENT if speed is None else units.rate(speed.prompt_per_s.middle)


def _token(speed: FoundSpeed | None) -> str:
    return _ABSENT if speed is None else _interval(speed.token_s, 1e3, 1)


def _energy(one: DeviceProof) -> str:
    return _ABSENT if one.energy is None else f"{one.energy.joules_per_token:.3g}"


def _first(one: DeviceProof) -> str:
    return _ABSENT if one.starts is None else units.seconds(one.starts.first_s)


def _interval(found: Interval, scale: float, digits: int) -> str:
    low, middle, high = (
        f"{scale * one:.{digits}f}" for one in (found.low, found.middle, found.high)
    )
    return f"{middle} ({low} to {high})"
