from __future__ import annotations

import json

import pytest

from aipc.measure.report.findings import read_findings, sections
from aipc.measure.report.machines import machines, models_by_machine, placements
from aipc.measure.report.report import make_report, markdown, render


@pytest.fixture(scope="module")
def section(fleet_files):
    [section] = sections(read_findings(fleet_files))
    return section


def rows(table):
    return [dict(zip(table.head, row, strict=True)) for row in table.rows]


def test_machines_of_the_same_make_are_told_apart(section):
    assert [letter for letter, _ in section.machines] == ["A", "B", "C"]
    assert section.machines[0][1].processor == section.machines[1][1].processor


def test_the_fastest_comes_first_with_its_share_of_the_work(section):
    picture = machines(section)
    small = [row for row in rows(picture.table) if row["model"] == "smollm2-135m"]
    assert [row["machine"] for row in small] == ["A", "B", "C"]
    shares = [int(row["share"].removesuffix("%")) for row in small]
    # they take 0.5, 0.6 and 30 times as long
    assert shares == [54, 45, 1]
    assert small[-1]["with those above"] == "100%"
    assert [len(panel.bars) for panel in picture.chart.panels] == [3, 2]


def test_each_machine_is_told_what_to_run(section):
    first, _, old = rows(models_by_machine(section))
    assert list(first)[1:] == ["smollm2-135m", "org/large", "largest that is fluent"]
    assert first["largest that is fluent"] == "org/large"
    assert old["largest that is fluent"] == "none"
    assert old["smollm2-135m"].endswith("; slow")
    assert old["org/large"] == "does not fit: took 9.0 GB elsewhere"


def changed(file, folder, change):
    table = json.loads(file.read_text("utf-8"))
    change(table)
    other = folder / file.name
    other.write_text(json.dumps(table), "utf-8")
    return other


def test_a_model_on_several_devices_counts_where_it_is_fastest(fleet_files, tmp_path):
    def on_gpu(table):
        first = table["participants"][0]
        first["device"] = "GPU"
        for sample in first["samples"]:
            sample["seconds"] /= 2
            sample["times"] = [[time / 2 for time in each] for each in sample["times"]]

    files = [*fleet_files, changed(fleet_files[0], tmp_path, on_gpu)]
    [section] = sections(read_findings(files))
    first = placements(section)[0]
    assert (first.machine, first.entry.participant.device) == ("A", "GPU")
    assert len(placements(section)) == 5


def test_what_takes_most_of_the_memory_is_tight_and_what_failed_is_said(fleet_files, tmp_path):
    def fill(table):
        table["machine"]["memory_bytes"] = 10_000_000_000

    def fail(table):
        fill(table)
        table["participants"][0] |= {"samples": [], "failure": "out of memory"}

    small, large = fleet_files[:2]
    for change, told in ((fill, "9.0 GB; tight in 10.0 GB"), (fail, "could not run")):
        files = [changed(small, tmp_path, fill), changed(large, tmp_path, change), fleet_files[-1]]
        [section] = sections(read_findings(files))
        [first, *_] = rows(models_by_machine(section))
        assert first["org/large"].endswith(told)
        assert first["largest that is fluent"] == "smollm2-135m"


def test_a_machine_has_one_letter_in_the_whole_report(fleet_files, tmp_path):
    def ask_less(table):
        table["workload"]["prompts"].pop()

    other = changed(fleet_files[-1], tmp_path, ask_less)
    first, second = sections(read_findings([*fleet_files[:4], other]))
    assert [letter for letter, _ in first.machines] == ["A", "B"]
    assert [letter for letter, _ in second.machines] == ["C"]


def test_more_machines_than_letters(fleet_files, tmp_path):
    files = []
    for number in range(28):
        folder = tmp_path / str(number)
        folder.mkdir()

        def name(table, number=number):
            table["machine"]["id"] = str(number)

        files.append(changed(fleet_files[0], folder, name))
    [section] = sections(read_findings(files))
    assert [letter for letter, _ in section.machines][24:] == ["Y", "Z", "AA", "AB"]


def test_the_page_and_the_markdown_tell_of_several_machines_alone(fleet_files, report_files):
    many, one = (make_report(read_findings(files)) for files in (fleet_files, report_files))
    assert "Which model for which machine" in render(many)
    assert "| A · Intel" in markdown(many)
    assert many.pictures[0].name == "machines"
    assert "Which m" not in render(one) + markdown(one)
