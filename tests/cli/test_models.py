from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aipc.artifact import manifest
from aipc.devices import Device
from aipc.devices.system.cpu import Cpu
from aipc.devices.system.memory import Memory
from aipc.errors import DeviceError
from aipc.models.catalogue import CATALOGUE


def test_the_store_as_a_table(aipc, filled_store: Path) -> None:
    outcome = aipc("models")
    lines = outcome.stdout.splitlines()
    assert [line.split()[-1] for line in lines] == [
        "CHECKPOINT",
        "org--tiny--main",
        "ARTIFACT",
        "org--tiny--main-openvino-int4",
    ]
    assert lines[1].startswith("1.5 MB  20")
    assert outcome.stderr == f"3.0 MB in {filled_store}\n"


def test_the_store_as_json(aipc, filled_store: Path) -> None:
    checkpoint, artifact = json.loads(aipc("models", "--json").stdout)
    assert checkpoint["kind"] == "checkpoint"
    assert artifact["nbytes"] == 1_500_000
    assert artifact["facts"] == {"recipe": {"weight_format": "int4"}}
    assert Path(artifact["path"], "model.safetensors").is_file()


def test_what_artifacts_lost_and_where_that_is_from(aipc, filled_store: Path) -> None:
    stated = {"kl": 0.0047, "same_top": 0.95, "tokens": 512, "measured": True}
    for name, quality in (
        ("measured", stated),
        ("expected", stated | {"kl": 0.4814, "measured": False}),
        ("damaged", "good"),
        ("a" * 70, stated),
    ):
        folder = filled_store / "artifacts" / name
        folder.mkdir()
        (folder / "weights").write_bytes(b"w")
        manifest.write(folder, "artifact", name, {"quality": quality})
    outcome = aipc("models")
    lines = outcome.stdout.splitlines()
    losses = {line.split()[-1]: line.split()[-2] for line in lines}
    assert losses["ARTIFACT"] == "KL"
    assert losses["measured"] == "0.0047"
    assert losses["expected"] == "~0.48"
    assert losses["damaged"].startswith("20")  # the day: nothing is said of it
    assert max(map(len, lines + outcome.stderr.splitlines())) <= 100
    assert "--check" in outcome.stderr
    told = {one["name"]: one["facts"] for one in json.loads(aipc("models", "--json").stdout)}
    assert told["measured"]["quality"] == stated


def test_an_empty_store_says_where_it_is_and_what_to_do(aipc, tmp_path: Path) -> None:
    outcome = aipc("models")
    assert (outcome.status, outcome.stdout) == (0, "")
    assert str(tmp_path / "home") in outcome.stderr
    assert "--available" in outcome.stderr
    assert aipc("models", "--json").stdout == "[]\n"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have this one be another, with so much memory and besides its CPU these devices."""

    def install(gigabytes: int, *devices: Device, cores: int = 8) -> None:
        found = (Device("CPU", "cpu", "A CPU", runtimes=("openvino", "onnx")), *devices)
        monkeypatch.setattr("aipc.devices.remembered.remembered_devices", lambda _: found)
        memory = Memory(int(0.97 * gigabytes * 2**30), 0)
        monkeypatch.setattr("aipc.devices.system.memory.read_memory", lambda: memory)
        cpu = Cpu("A CPU", "x86_64", cores, 2 * cores, ())
        monkeypatch.setattr("aipc.devices.system.cpu.read_cpu", lambda: cpu)

    return install


def _by_name(lines: list[str]) -> dict[str, str]:
    return {line.split()[0]: line for line in lines if not line.startswith(" ")}


def test_the_short_names(aipc, machine) -> None:
    machine(8)
    outcome = aipc("models", "--available")
    lines = outcome.stdout.splitlines()
    assert max(map(len, lines + outcome.stderr.splitlines())) <= 100
    rows = _by_name(lines[1:])
    assert rows.keys() == set(CATALOGUE)
    for name, model in CATALOGUE.items():
        assert f"{model.context:,}" in rows[name]
    assert CATALOGUE.default.name in outcome.stderr


@pytest.mark.parametrize(
    ("gigabytes", "best", "too_large"),
    [
        (8, "qwen3-4b-2507", {"qwen3-8b", "phi-4", "gemma-3-12b"}),
        (16, "qwen3-4b-2507", {"gpt-oss-20b", "qwen3-30b-a3b"}),
        (32, "qwen3-30b-a3b", {"phi-3.5-moe"}),
        (64, "qwen3-30b-a3b", set()),
    ],
)
def test_which_fit_this_machine(
    aipc, machine, gigabytes: int, best: str, too_large: set[str]
) -> None:
    machine(gigabytes)
    outcome = aipc("models", "--available")
    rows = _by_name(outcome.stdout.splitlines())
    assert "int4, best" in rows[best]
    assert outcome.stdout.count(", best") == 1
    assert too_large <= {name for name, row in rows.items() if "too large" in row}
    assert "too large" not in rows["phi-4-mini"]
    assert "int8" in rows["smollm2-360m"]
    assert f"`aipc chat {best}`" in outcome.stderr


def test_a_gpu_answers_larger_ones(aipc, machine) -> None:
    machine(16, Device("GPU", "gpu", "A GPU", facts={"type": "integrated"}))
    told = json.loads(aipc("models", "--available", "--json").stdout)
    assert [one["name"] for one in told if one["here"]["recommended"]] == ["qwen3-14b"]


def test_where_nothing_fits_nothing_is_recommended(aipc, machine) -> None:
    machine(1)
    outcome = aipc("models", "--available")
    assert "best" not in outcome.stdout
    assert "recommended" not in outcome.stderr
    assert "too large" in _by_name(outcome.stdout.splitlines())["phi-3-mini"]


def test_a_commit_that_nobody_else_pins_is_said_to_be_unchecked(
    aipc, machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(16)
    shown = aipc("models", "--available").stdout
    assert "unchecked" not in shown
    assert "to be accepted on the hub first" in " ".join(shown.split())
    other = replace(CATALOGUE["phi-4"], pinned_by=1)
    monkeypatch.setattr("aipc.choose.offers.offers.__defaults__", ((other,),))
    assert "MIT; commit unchecked" in aipc("models", "--available").stdout


def test_without_any_runtime_the_short_names_are_listed_all_the_same(
    aipc, machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(16)

    def fail(_: Path) -> None:
        raise DeviceError("no runtime is installed", "install one")

    monkeypatch.setattr("aipc.devices.remembered.remembered_devices", fail)
    outcome = aipc("models", "--available")
    assert "no runtime is installed" in outcome.stderr
    assert _by_name(outcome.stdout.splitlines()[1:]).keys() == set(CATALOGUE)


def test_the_short_names_as_json(aipc, machine) -> None:
    machine(8)
    told = json.loads(aipc("models", "--available", "--json").stdout)
    assert {model["name"] for model in told} == set(CATALOGUE)
    assert all(model["licence"] and model["nbytes"] and model["checked"] for model in told)
    here = {model["name"]: model["here"] for model in told}
    assert here["phi-4"]["fits"] is False
    assert here["phi-4-mini"]["fits"] is True
    assert here["phi-4-mini"]["weight_format"] == "int4"
    assert here["phi-4-mini"]["memory_bytes"] > here["phi-4-mini"]["nbytes"] > 1e9
    assert here["phi-3-mini"]["context"] == 4096
