from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aipc.measure.bench import bench, result

EXAMPLE = Path(__file__).parents[1] / "measure" / "results" / "smollm2-cpu.json"


@pytest.fixture
def measured(monkeypatch):
    """What was asked of a benchmark that answers with the example at once."""
    asked = []

    def measure(plan, *, store, progress, notify):
        asked.append(plan)
        notify("aipc: loaded in 1.0 s, cold first token 2.0 s")
        return found[-1]

    found = [result.read(EXAMPLE)]
    monkeypatch.setattr(bench, "measure", measure)
    return asked, found


def test_figures_to_stdout_and_the_rest_to_stderr(aipc, measured):
    outcome = aipc("bench", "phi-3-mini", "--prompt", "32,128", "--tokens", "16")
    assert outcome.status == 0
    assert "aipc: loaded in" in outcome.stderr
    assert "result: " in outcome.stderr
    lines = outcome.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.split()[:3] == ["openvino_genai:defaults", "128+16", "x1"] for line in lines)
    assert "energy: not measured, no counter that may be read" in lines
    start = next(at for at, line in enumerate(lines) if line.endswith("J/TOKEN"))
    assert [line.split()[-1] for line in lines[start + 1 : start + 5]] == ["-"] * 4
    assert any(line.startswith("noisy: other programs took") for line in lines)


def test_ratios_to_the_peers_with_their_confidence(aipc, measured):
    lines = aipc("bench").stdout.splitlines()
    start = lines.index("How many times as fast aipc is:")
    rows = [line.split() for line in lines[start + 2 :] if not line.startswith(("noisy", " "))]
    assert {row[0] for row in rows} == {
        "openvino_genai",
        "openvino_genai:defaults",
        "onnxruntime_genai",
    }
    assert {row[-1] for row in rows} == {"97%", "50%"}


def test_energy_that_was_counted_is_told_a_token(aipc, measured):
    _, found = measured
    counted = tuple(
        replace(
            one,
            energy_source="package",
            samples=tuple(replace(sample, energy_j=8.0) for sample in one.samples),
        )
        for one in found[0].participants
    )
    found.append(replace(found[0], participants=counted))
    lines = aipc("bench").stdout.splitlines()
    start = next(at for at, line in enumerate(lines) if line.endswith("J/TOKEN"))
    assert [line.split()[-1] for line in lines[start + 1 : start + 5]] == ["0.50"] * 4
    assert "energy: of the whole package" in lines
    assert max(map(len, lines)) <= 100


def test_the_file_is_the_result_and_is_never_overwritten(aipc, measured, tmp_path):
    file = tmp_path / "mine.json"
    outcome = aipc("bench", "-o", str(file), "--json")
    assert result.parse(json.loads(outcome.stdout)) == result.read(file) == measured[1][0]
    again = aipc("bench", "-o", str(file))
    assert again.status == 2
    assert "exists already" in again.stderr
    assert len(measured[0]) == 1


def test_without_a_name_the_file_goes_into_the_store(aipc, measured, tmp_path):
    outcome = aipc("bench")
    [file] = (tmp_path / "home" / "results").iterdir()
    assert f"result: {file}" in outcome.stderr
    assert result.read(file) == measured[1][0]


def test_flags_become_the_plan(aipc, measured, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("some words", encoding="utf-8")
    flags = "--prompt 8,16 --tokens 4 --batch 1,2 --repeats 3 --seed 7 --device cpu --runtime onnx"
    aipc("bench", "phi-3-mini", *flags.split(), "--text", str(text), "--peer", "openvino_genai")
    [plan] = measured[0]
    assert (plan.prompts, plan.outputs, plan.batches) == ((8, 16), (4,), (1, 2))
    assert (plan.options.repeats, plan.options.seed) == (3, 7)
    assert (plan.wanted.device, plan.wanted.runtime) == ("cpu", "onnx")
    assert (plan.model, plan.text) == ("phi-3-mini", "some words")
    assert [entry.name for entry in plan.peers] == ["openvino_genai"]
    assert len(plan.workload.text_sha256) == 64


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--prompt", "8,x"), "--prompt '8,x' is no list of whole numbers; write 32,256,1024"),
        (("--repeats", "0"), "--repeats"),
        (("--peer", "lama"), "unknown peer 'lama'"),
        (("--emulate", "--device", "npu"), "an emulated NPU has no speed"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_one_line(aipc, measured, flags, complaint):
    outcome = aipc("bench", *flags)
    assert outcome.status == 2
    assert complaint in outcome.stderr
    assert measured[0] == []


def test_two_results_are_compared(aipc):
    outcome = aipc("bench", "--compare", str(EXAMPLE), str(EXAMPLE))
    assert outcome.status == 0
    assert f"How many times as fast {EXAMPLE} is as {EXAMPLE}:" in outcome.stdout
    assert "decode" in outcome.stdout
    facts = json.loads(aipc("bench", "--compare", str(EXAMPLE), str(EXAMPLE), "--json").stdout)
    assert facts["notes"] == []
    assert {ratio["what"] for ratio in facts["ratios"]} >= {"first token", "decode", "load"}


def test_a_file_that_is_no_result_is_named(aipc, tmp_path):
    file = tmp_path / "odd.json"
    file.write_text("{}", encoding="utf-8")
    outcome = aipc("bench", "--compare", str(EXAMPLE), str(file))
    assert outcome.status == 1
    assert "odd.json' is no usable result: it has no schema number" in outcome.stderr


def test_the_peers_are_listed_with_what_they_cost(aipc):
    outcome = aipc("bench", "--peer", "list")
    assert "llama_cpp" in outcome.stdout
    assert "10 minutes" in " ".join(outcome.stdout.split())
    assert max(map(len, outcome.stdout.splitlines())) <= 100


@pytest.fixture
def fleet(monkeypatch):
    """What a fleet found: the example on one node, and an error on another."""
    from aipc.errors import EngineError
    from aipc.measure.bench import fleet

    def measure_fleet(plan, address, folder, notify):
        asked.append((plan, address))
        file = folder / "one.json"
        result.write(result.read(EXAMPLE), file)
        return fleet.FleetResults((file,), failures)

    asked, failures = [], ((("pc2 (0a1b2c)", EngineError("no driver", "install it"))),)
    monkeypatch.setattr(fleet, "measure_fleet", measure_fleet)
    return asked


def test_a_fleet_is_shown_a_row_a_machine_and_its_errors_are_its_status(aipc, fleet, tmp_path):
    folder = tmp_path / "found"
    outcome = aipc("bench", "phi-3-mini", "--fleet", "ray://head:10001", "-o", str(folder))
    assert outcome.status == 1
    assert "1 of 2 nodes gave no result; their errors stand above" in outcome.stderr
    assert f"side by side: aipc report {folder}" in outcome.stderr
    head, row = outcome.stdout.splitlines()
    assert head.split()[:3] == ["MACHINE", "ID", "ON"]
    assert row.startswith(result.read(EXAMPLE).machine.processor[:20])
    assert fleet[0][0].model == "phi-3-mini"
    assert fleet[0][1] == "ray://head:10001"


def test_a_fleet_s_files_and_errors_as_json(aipc, fleet, tmp_path):
    outcome = aipc("bench", "--fleet", "local", "-o", str(tmp_path / "found"), "--json")
    told = json.loads(outcome.stdout)
    assert [Path(file).name for file in told["files"]] == ["one.json"]
    assert told["failures"] == [{"node": "pc2 (0a1b2c)", "error": "no driver; install it"}]
    refused = aipc("bench", "--fleet", "local", "-o", told["files"][0])
    assert refused.status == 2
    assert "is no folder" in refused.stderr
