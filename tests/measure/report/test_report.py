from __future__ import annotations

import dataclasses
import html
import struct
import sys
from xml.etree import ElementTree as ET

import pytest

from aipc.choose.measured import Fingerprint, Records, SetupFigures, Trial, Tuned, Work
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.errors import MeasurementError
from aipc.measure.report.charts import ReportTable
from aipc.measure.report.findings import read_findings
from aipc.measure.report.report import (
    escaped,
    make_report,
    markdown,
    render,
    table,
    write_page,
    write_pictures,
)


@pytest.fixture(scope="module")
def report(report_files):
    return make_report(read_findings(report_files))


@pytest.fixture(scope="module")
def page(report):
    return render(report)


def test_equal_reports_give_equal_pages(report_files, page):
    assert render(make_report(read_findings(report_files))) == page


def test_it_states_what_the_figures_hold_for(report, page):
    [chapter] = report.chapters
    text = html.unescape(page)
    for benchmark in chapter.section.benchmarks:
        found = benchmark.result
        assert found.machine.processor in text
        for warning in found.noise.warnings:
            assert warning in text
        for one in found.participants:
            assert one.artifact.sha256 in text
            assert all(version in text for version in one.versions.values())
    assert "aipc bench smollm2-135m --prompt 16,64,256" in text


def test_its_policy_allows_its_own_style_sheet_and_nothing_else(page):
    assert "default-src 'none'; style-src 'sha256-" in html.unescape(page)
    assert page.count("<style>") == 1
    assert "<script" not in page
    assert " style=" not in page


def test_pictures_become_files(report, tmp_path):
    svgs = list(write_pictures(report, tmp_path / "svg", "svg"))
    assert [file.name for file in svgs] == [
        "latency.svg",
        "first-token.svg",
        "quality.svg",
        "memory.svg",
        "limit.svg",
    ]
    assert all("<title" in file.read_text("utf-8") for file in svgs)
    pngs = [file.read_bytes() for file in write_pictures(report, tmp_path / "png", "png")]
    assert all(png.startswith(b"\x89PNG") for png in pngs)
    assert {struct.unpack(">II", png[16:24]) for png in pngs} == {(1536, 864)}


def test_a_picture_that_stands_alone_says_of_what_where_and_when(report, tmp_path):
    [found] = {one.result.machine.processor for one in report.chapters[0].section.benchmarks}
    for file in write_pictures(report, tmp_path, "svg"):
        shown = [element.text for element in ET.parse(file).iter() if element.tag.endswith("text")]
        title = ET.parse(file).find("{*}title").text
        assert shown[:2] == [title, f"smollm2-135m on {found}, 2026-11-22; measured by aipc"]


def test_pictures_of_other_work_have_other_names(report_files, changed_result):
    def ask_less(table):
        table["workload"]["prompts"].pop()

    report = make_report(read_findings([report_files[0], changed_result(ask_less)]))
    names = [picture.name for picture in report.pictures]
    assert names[0] == "latency-1"
    assert names[6] == "latency-2"
    assert len(set(names)) == len(names)


def test_machines_are_never_compared_in_a_ratio(report_files, changed_result):
    def move(table):
        table["machine"]["processor"] = "Another"

    text = render(make_report(read_findings([report_files[0], changed_result(move)])))
    assert "Several machines:" in text
    assert "aipc · A against openvino_genai · A" in text
    assert "aipc · A against aipc · B" not in text


def test_what_was_tuned_has_a_chapter(tmp_path):
    setups = [Setup("openvino", "CPU", Recipe(form)) for form in ("int8", "int4")]
    trials = (
        Trial(setups[0], SetupFigures(0.5, 0.2, 1000, kl=0.01), frontier=True),
        Trial(setups[1], SetupFigures(0.5, 0.1, 600, kl=0.4), frontier=True),
    )
    machine = Fingerprint("A CPU", 8, {}, {})
    when = "2026-11-22T10:00:00+00:00"
    tuned = Tuned("m", "org/m", "latency", Work(), when, machine, trials[1], 1.7, trials)
    records = Records(tmp_path)
    text = render(make_report(read_findings([records.save(tuned)])))
    assert "Tuned for latency: org/m" in text
    assert 'id="tuned-1"' in text
    assert "not measured" in text  # energy
    plain = tuple(dataclasses.replace(one, figures=SetupFigures(1, 1, 1)) for one in trials)
    file = records.save(dataclasses.replace(tuned, trials=plain))
    assert "no divergence was measured" in render(make_report(read_findings([file])))


def test_without_matplotlib_it_says_what_to_install(report, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MeasurementError, match=r'`pip install "matplotlib>=3.9"`'):
        write_page(report, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_table_has_its_numbers_flush_right():
    shown = ReportTable(("who", "case", "s"), (("a|b", "1 + 2", "3"),), right=2)
    assert table(shown).splitlines() == [
        "| who | case | s |",
        "| --- | --- | ---: |",
        r"| a\|b | 1 + 2 | 3 |",
    ]


@pytest.mark.parametrize("text", ["<img src=x>", "[a](b)", "`code`", "a_b_", "$x$", "a|b"])
def test_what_markdown_would_obey_is_escaped(text):
    plain = escaped(text)
    assert plain.replace("\\", "") == text
    assert all(plain[at - 1] == "\\" for at, one in enumerate(plain) if one in "<[`_$|")


def test_speeds_ratios_and_noise_are_told(report_files):
    told = markdown(make_report(read_findings(report_files)))
    assert told.startswith("smollm2-135m on ")
    assert "| onnxruntime\\_genai | 256 + 48 |" in told
    assert "| aipc · int4-g128-sym-rtn against aipc · int8-sym-rtn | 16 + 48 |" in told
    rows = [line for line in told.splitlines() if line.startswith("|")]
    assert {line.count(" | ") for line in rows} <= {4, 5}
