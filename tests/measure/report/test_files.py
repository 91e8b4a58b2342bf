from __future__ import annotations

import json

import pytest

from aipc.errors import MeasurementError
from aipc.measure.report.files import read_findings


def test_every_kind_of_file_is_known_by_its_content(report_files):
    found = read_findings(report_files)
    assert [one.file for one in found.benchmarks] == ["smollm2-int4", "smollm2-int8"]
    assert len(found.evaluations) == 3
    assert found.tunings == ()


def test_speed_is_needed(report_files):
    with pytest.raises(MeasurementError, match="no speed in these files; give at least one"):
        read_findings([file for file in report_files if file.stem.endswith("quality")])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', "[" * 100_000, "\xff"])
def test_other_files_are_refused(text, tmp_path):
    file = tmp_path / "other.json"
    file.write_text(text, "latin-1")
    with pytest.raises(MeasurementError, match=r"other\.json' is no"):
        read_findings([file])


def damage_times(table):
    table["participants"][0]["samples"][3]["times"] = [[]]


def damage_order(table):
    table["participants"][0]["samples"][3]["times"][0].reverse()


def damage_lineup(table):
    table["participants"] = []


@pytest.mark.parametrize("damage", [damage_times, damage_order, damage_lineup])
def test_what_is_no_measurement_is_refused(damage, changed_result):
    with pytest.raises(MeasurementError, match="holds no usable measurement"):
        read_findings([changed_result(damage)])


def test_characters_that_no_page_can_show_are_replaced(changed_result):
    def rename(table):
        table["model"] = "a\x00b\x1b[31m\ud800\u202ec"

    file = changed_result(rename)
    assert json.loads(file.read_text())["model"].startswith("a\x00")
    [benchmark] = read_findings([file]).benchmarks
    assert benchmark.result.model == "a\ufffdb\ufffd[31m\ufffd\ufffdc"
