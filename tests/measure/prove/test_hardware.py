"""The page of measured machines, and README's table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aipc.errors import MeasurementError, UsageError
from aipc.measure.prove.hardware import (
    BEGIN,
    END,
    NOWHERE,
    hardware_page,
    read_hardware,
    rows,
    update_readme,
    what_runs_where,
)
from aipc.measure.prove.record import EMULATED, SOFTWARE, signed, to_json

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(a_proof, tmp_path):
    """Write proofs by name."""

    def write(**proofs):
        for name, proof in proofs.items():
            where = tmp_path / ("users" if name.startswith("user") else "")
            where.mkdir(exist_ok=True)
            (where / f"{name}.json").write_text(to_json(signed(proof)), "utf-8")
        return tmp_path

    return write


def row_of(table, device, through="OpenVINO"):
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    return next(line[2:4] for line in cells if line[:2] == [device, through])


def of_linux(proof):
    return replace(proof, machine=replace(proof.machine, system="Debian 12"))


def right(proof):
    return replace(proof, devices=tuple(replace(one, faults=()) for one in proof.devices))


def test_each_claim_has_its_words(a_proof, folder):
    emulated = replace(a_proof.devices[1], claim=EMULATED, faults=())
    webgpu = replace(emulated, device="WEBGPU", kind="webgpu", runtime="onnx", claim=SOFTWARE)
    here = of_linux(replace(a_proof, devices=(a_proof.devices[0], emulated, webgpu)))
    table = what_runs_where(read_hardware(folder(own=here, user=right(a_proof))))
    assert row_of(table, "CPU (x86-64)") == ["measured", "measured by users"]
    assert row_of(table, "Intel NPU") == ["emulated", "measured by users"]
    assert row_of(table, "Intel GPU") == ["built, not run", "built, not run"]
    assert row_of(table, "any GPU (WebGPU)", "ONNX Runtime")[0] == "computed on a software device"
    assert row_of(table, "any GPU (DirectML)", "ONNX Runtime") == [NOWHERE, "built, not run"]
    assert "CPU (Arm)" not in table


def test_the_strongest_claim_counts_and_a_wrong_device_does_not_work(a_proof, folder):
    table = what_runs_where(read_hardware(folder(user1=a_proof)))
    assert row_of(table, "Intel NPU")[1] == "measured by users: does not work"
    table = what_runs_where(read_hardware(folder(own=right(a_proof))))
    assert row_of(table, "Intel NPU")[1] == "measured"


def test_other_systems_and_processors_appear_with_their_first_file(a_proof, folder):
    machine = replace(a_proof.machine, system="macOS 15.1", architecture="arm64")
    table = what_runs_where(read_hardware(folder(user=replace(a_proof, machine=machine))))
    assert table.splitlines()[0] == "| device | through | Linux | Windows | macOS | shown by |"
    assert "| CPU (Arm) | OpenVINO | built, not run | built, not run | measured by users |" in table


def test_the_page_has_machines_by_name_version_and_date(a_proof, folder):
    page = hardware_page(read_hardware(folder(user=a_proof, own=of_linux(a_proof))))
    assert "## Intel(R) Core(TM) Ultra 7 155H, Windows 10.0.26100, 2026-11-29" in page
    assert "Measured by a user with aipc 0.1.0 ([figures](hardware/users/user.json))." in page
    assert "Measured by this project with aipc 0.1.0 ([figures](hardware/own.json))." in page
    assert "- NPU through openvino: **wrong**: after a prompt of 2,000 tokens" in page
    assert "openvino 2026.4.1" in page


def test_a_folder_with_an_altered_file_or_none_is_refused(a_proof, folder, tmp_path):
    with pytest.raises(UsageError, match=r"holds no \.json file"):
        read_hardware(tmp_path)
    file = folder(own=a_proof) / "own.json"
    file.write_text(file.read_text("utf-8").replace('"agreed": 1,', '"agreed": 16,'), "utf-8")
    with pytest.raises(MeasurementError, match="was altered"):
        read_hardware(tmp_path)


def test_the_table_goes_between_its_marks_alone(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    update_readme(readme, "new")
    assert readme.read_text("utf-8") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    readme.write_text(f"{END}\n{BEGIN}\n", "utf-8")
    with pytest.raises(MeasurementError, match="has no place for the table"):
        update_readme(readme, "new")


def test_rows_name_runtimes_and_kinds_that_there_are():
    from aipc.runtimes.registry import RUNTIMES

    for row in rows():
        assert row.kind in RUNTIMES.get(row.runtime).kinds
        assert row.through == RUNTIMES.title(row.runtime)


def test_readme_and_the_page_are_made_of_the_files_of_docs():
    files = read_hardware(ROOT / "docs" / "hardware")
    assert (ROOT / "docs" / "hardware.md").read_text("utf-8") == hardware_page(files)
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme.partition(BEGIN)[2].partition(END)[0].strip() == what_runs_where(files)
