from __future__ import annotations

import pytest

from aipc.measure.report.charts import ReportTable
from aipc.measure.report.files import read_findings
from aipc.measure.report.markdown import escaped, markdown, table
from aipc.measure.report.report import make_report


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
    assert "| aipc · int4-g128-sym against aipc · int8-sym | 16 + 48 |" in told
    rows = [line for line in told.splitlines() if line.startswith("|")]
    assert {line.count(" | ") for line in rows} <= {4, 5}
