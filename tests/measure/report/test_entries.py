from __future__ import annotations

from aipc.measure.report.entries import sections
from aipc.measure.report.files import read_findings


def labels(section):
    return [entry.label for entry in section.entries]


def rename_machine(table):
    table["machine"]["processor"] = "Another"


def test_names_are_as_long_as_it_takes_to_tell_them_apart(report_files):
    [section] = sections(read_findings(report_files))
    assert labels(section) == [
        "aipc · int4-g128-sym",
        "openvino_genai",
        "onnxruntime_genai",
        "aipc · int8-sym",
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
