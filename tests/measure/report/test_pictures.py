from __future__ import annotations

import itertools

import pytest

from aipc.measure.report.findings import read_findings, sections
from aipc.measure.report.pictures import pictures


def drawn(files):
    [section] = sections(read_findings(files))
    return {picture.name: picture for picture in pictures(section)}


def test_all_six_are_there_and_what_is_absent_is_said(report_files):
    found = drawn(report_files)
    assert list(found) == ["latency", "first-token", "quality", "memory", "energy", "limit"]
    assert [name for name, picture in found.items() if picture.chart is None] == ["energy"]
    assert found["energy"].absent.startswith("not measured on this machine")


def test_energy_is_drawn_where_it_was_counted_and_never_as_zero(changed_result):
    def count(table):
        for sample in table["participants"][0]["samples"]:
            sample["energy_j"] = 12.0

    energy = drawn([changed_result(count)])["energy"]
    [panel] = energy.chart.panels
    tokens = 48
    assert [(bar.label, bar.value) for bar in panel.bars] == [("aipc", 12 / tokens)]
    assert energy.notes == ("Not measured for openvino_genai and onnxruntime_genai.",)
    assert [row[1] for row in energy.table.rows] == ["0.25 J", "not measured", "not measured"]


def test_a_line_has_the_medians_of_each_place(changed_result):
    times = [0.5, 0.6, 0.8, 0.8, 0.9]  # the third and the fourth token come together

    def shorten(table):
        table["workload"].update(prompts=[16], outputs=[5])
        for sample in itertools.chain(*(one["samples"] for one in table["participants"])):
            sample["times"] = [times]

    chart = drawn([changed_result(shorten)])["latency"].chart
    line = chart.panels[0].lines[0]
    assert line.x == (2, 3, 4, 5)
    assert line.middle == pytest.approx((100, 100, 100, 100))
    assert line.low == line.high == line.middle


def test_the_cold_run_is_in_no_line_and_named(report_files):
    found = drawn(report_files)
    [panel] = found["first-token"].chart.panels
    assert len(panel.marks) == 4
    assert "the first token after loading, aipc · int4-g128-sym-rtn" in found["latency"].notes[-1]
    slowest = max(value for line in panel.lines for value in line.middle[:1])
    assert max(mark.y for mark in panel.marks) > slowest


def test_quality_without_evaluations_says_how_to_get_them(report_files):
    quality = drawn(report_files[:1])["quality"]
    assert quality.chart is None
    assert "aipc eval -o" in quality.absent


def test_memory_and_limit_that_are_not_told_are_absent(changed_result):
    def forget(table):
        table["limits"] = {"bandwidth": None, "matrix": None}
        for one in table["participants"]:
            one["peak_memory_bytes"] = None

    found = drawn([changed_result(forget)])
    assert found["memory"].chart is None
    assert found["limit"].chart is None
    assert {row[1] for row in found["memory"].table.rows} == {"not measured"}


def test_a_participant_that_failed_is_in_no_picture(changed_result):
    def fail(table):
        table["participants"][1].update(samples=[], loads=[], failure="no memory")

    found = drawn([changed_result(fail)])
    for panel in found["latency"].chart.panels:
        assert [line.label for line in panel.lines] == ["aipc", "onnxruntime_genai"]
    nobody = drawn(
        [changed_result(lambda table: [one.update(samples=[]) for one in table["participants"]])]
    )
    assert nobody["latency"].chart is None
    assert nobody["first-token"].chart is None


def test_each_machine_has_its_own_frontier(report_files, changed_result):
    def move(table):
        table["machine"]["processor"] = "Another"

    files = [report_files[0], changed_result(move), *report_files[2:]]
    chart = drawn(files)["quality"].chart
    assert len(chart.points) == 6
    assert [{at // 3 for at in frontier} for frontier in chart.frontiers] == [{0}, {1}]


def test_a_long_name_keeps_what_tells_it_apart(report_files, changed_result):
    def rename(table):
        table["machine"]["processor"] = "Another"
        table["participants"][0]["name"] = "name" * 50

    chart = drawn([report_files[0], changed_result(rename)])["memory"].chart
    label = chart.panels[0].bars[3].label
    assert label.endswith("… · B")
    assert len(label) < 40
