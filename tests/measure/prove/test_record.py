"""The file: its hash, what it refuses, and what can't get into it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aipc.errors import MeasurementError
from aipc.measure.prove.record import DeviceFault, read_proof, signed, to_json
from aipc.measure.prove.summary import file_stem, summary


def written(proof, folder, change=lambda table: None):
    file = folder / "proof.json"
    table = json.loads(to_json(signed(proof)))
    change(table)
    file.write_text(json.dumps(table, indent=3), "utf-8")
    return file


def test_a_file_comes_back_equal_however_it_is_laid_out(a_proof, tmp_path):
    assert read_proof(written(a_proof, tmp_path)) == signed(a_proof)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table["devices"][1].update(faults=[]),
        lambda table: table["devices"][0]["speed"]["token_s"].update(middle=0.001),
        lambda table: table["machine"].update(processor="Another CPU"),
        lambda table: table.update(sha256="0" * 64),
        lambda table: table.pop("sha256"),
        lambda table: table.update(more="of it"),
    ],
)
def test_an_altered_file_is_refused(change, a_proof, tmp_path):
    with pytest.raises(MeasurementError, match=r"was altered: .* another SHA-256"):
        read_proof(written(a_proof, tmp_path, change))


def test_a_file_that_is_none_or_of_another_schema_is_refused(a_proof, tmp_path):
    file = tmp_path / "x.json"
    file.write_text("{}")
    with pytest.raises(MeasurementError, match="is no file of `aipc prove`"):
        read_proof(file)
    file.write_text("not JSON")
    with pytest.raises(MeasurementError, match="give a file that `aipc prove` wrote"):
        read_proof(file)
    with pytest.raises(MeasurementError, match=r"\(schema 2\)"):
        read_proof(written(a_proof, tmp_path, lambda table: table.update(schema=2)))


@pytest.mark.parametrize("name", ["<script>", "a | b", "`x`", "[link](x)", "\x1b[31m", "**x**"])
def test_a_file_with_markup_in_it_is_refused_though_its_hash_is_right(name, a_proof, tmp_path):
    machine = replace(a_proof.machine, processor=name)
    with pytest.raises(MeasurementError, match="marks that `aipc prove` never writes"):
        read_proof(written(replace(a_proof, machine=machine), tmp_path))


def test_unknown_fields_are_refused_though_the_hash_is_right(a_proof, tmp_path):
    table = json.loads(to_json(a_proof)) | {"home": "somewhere"}
    from aipc.measure.prove import record

    table["sha256"] = record._sha256(table)
    file = tmp_path / "x.json"
    file.write_text(json.dumps(table))
    with pytest.raises(MeasurementError, match="home is not known"):
        read_proof(file)


def test_the_file_is_named_for_the_accelerator_or_the_cpu(a_proof):
    assert file_stem(a_proof) == "aipc-prove-intel-r-ai-boost-2026-11-29"
    emulated = replace(a_proof.devices[1], claim="emulated")
    alone = replace(a_proof, devices=(a_proof.devices[0], emulated))
    assert file_stem(alone) == "aipc-prove-intel-r-core-tm-ultra-7-155h-2026-11-29"


def test_the_summary_says_all_in_words(a_proof):
    page = summary(signed(a_proof))
    assert page.startswith("# aipc prove: Intel(R) Core(TM) Ultra 7 155H, 2026-11-29\n")
    assert (
        "| NPU: Intel(R) AI Boost | openvino | wrong | 1/16 | 2,000 | 10.0 (9.5 to 10.5) | - |"
        in page
    )
    assert "- **wrong**: after a prompt of 2,000 tokens" in page
    assert "2,000 tokens 1/16; 8.2 nats short at worst" in page
    assert "- not tried: a long answer" in page
    assert f"SHA-256 of the figures: {signed(a_proof).sha256}" in page
    assert "oisy" not in page
    noisy = summary(replace(a_proof, others_share=0.4))
    assert "Noisy: other programs took 40% of the processor" in noisy
    assert (
        "| NPU: Intel(R) AI Boost | openvino | wrong | 1/16 | noisy | noisy | noisy | noisy |"
        in noisy
    )


def test_the_verdict_is_the_first_fault(a_proof):
    npu = replace(a_proof.devices[1], faults=(DeviceFault("slow", "x"), DeviceFault("wrong", "y")))
    assert (npu.verdict, replace(npu, faults=()).verdict) == ("slow", "ok")
