from __future__ import annotations

import json

import pytest

from aipc.errors import MeasurementError
from aipc.measure.report.findings import read_findings, sections


def labels(section):
    return [entry.label for entry in section.entries]


def rename_machine(table):
    table["machine"]["processor"] = "Another"


def test_names_are_as_long_as_it_takes_to_tell_them_apart(report_files):
    [section] = sections(read_findings(report_files))
    assert labels(section) == [
        "aipc · int4-g128-sym-rtn",
        "openvino_genai",
        "onnxruntime_genai",
        "aipc · int8-sym-rtn",
    ]
    assert len({entry.style for entry in section.entries}) == 4


def test_other_machines_are_named_by_letter_everywhere(report_files, changed_result):
    files = [report_files[0], changed_result(rename_machine)]
    [section] = sections(read_findings(files))
    assert labels(section)[:2] == ["aipc · A", "openvino_genai · A"]
    assert labels(section)[3:5] == ["aipc · B", "openvino_genai · B"]
    assert [machine.processor for _, machine in section.machines][1] == "Another"


def test_other_models_are_named_everywhere(report_files, changed_result):
    other = changed_result(lambda table: table.update(model="org/other"))
    [section] = sections(read_findings([report_files[0], other]))
    assert labels(section)[-1] == "onnxruntime_genai · org/other"
    assert len(set(labels(section))) == 6


def test_the_same_twice_is_told_apart_by_its_file(report_files, changed_result):
    same = changed_result(lambda table: table, "later")
    [section] = sections(read_findings([report_files[0], same]))
    assert labels(section)[0] == "aipc · smollm2-int4"
    assert labels(section)[3] == "aipc · later"


def test_other_work_stands_apart(report_files, changed_result):
    def ask_less(table):
        table["workload"]["prompts"].pop()

    found = sections(read_findings([report_files[0], changed_result(ask_less)]))
    assert [max(section.workload.prompts) for section in found] == [256, 64]
    assert all(labels(section)[0] == "aipc" for section in found)


def test_quality_belongs_to_the_files_and_the_numerics_it_was_found_with(
    report_files, changed_result
):
    [section] = sections(read_findings(report_files))
    kl = [entry.quality.quality.kl.middle for entry in section.entries]
    assert kl[0] == kl[1] > 10 * kl[3]

    def compute_otherwise(table):
        table["participants"][0]["properties"]["INFERENCE_PRECISION_HINT"] = "bf16"
        table["participants"][1]["artifact"]["sha256"] = "0" * 64
        table["participants"][2]["properties"]["intra_op_num_threads"] = "1"

    files = [changed_result(compute_otherwise), *report_files[2:]]
    [section] = sections(read_findings(files))
    assert [entry.quality is not None for entry in section.entries] == [False, False, True]


def test_every_kind_of_file_is_known_by_its_content(report_files):
    found = read_findings(report_files)
    assert [one.file for one in found.benchmarks] == ["smollm2-int4", "smollm2-int8"]
    assert len(found.evaluations) == 3
    assert found.tunings == ()


def test_a_benchmark_of_schema_1_is_one_too(report_files, changed_result):
    def age(table):
        table.update(schema=1, contestants=table.pop("participants"))

    [old], [new] = (
        read_findings([file]).benchmarks for file in (changed_result(age), report_files[0])
    )
    assert old.result == new.result


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
