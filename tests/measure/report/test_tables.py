from __future__ import annotations

import dataclasses
import shlex

import pytest

from aipc import units
from aipc.measure.bench import result
from aipc.measure.report import tables
from aipc.measure.report.findings import read_findings, sections
from aipc.measure.report.tables import command


def test_it_measures_the_same_again(report_files):
    words = shlex.split(command(result.read(report_files[0])))
    told = " ".join(words)
    assert words[:3] == ["aipc", "bench", "smollm2-135m"]
    assert "--prompt 16,64,256 --tokens 48 --batch 1 --repeats 6" in told
    assert "--device cpu --runtime openvino --weight-format int4 --group-size 128" in told
    assert told.endswith("--peer openvino_genai --peer onnxruntime_genai")


def test_names_are_quoted_and_a_text_is_asked_for(report_files):
    found = result.read(report_files[1])
    work = dataclasses.replace(found.workload, text_sha256="00")
    odd = dataclasses.replace(found, model="/tmp/a; rm -rf x", workload=work)
    words = shlex.split(command(odd))
    assert words[2] == "/tmp/a; rm -rf x"
    assert words[words.index("--text") + 1] == "FILE"


def test_an_artifact_of_the_users_own_has_its_weights_already(report_files):
    found = result.read(report_files[1])
    own = dataclasses.replace(found, model=f"/models/{found.participants[0].artifact.name}")
    assert "--weight-format" not in command(own)


TABLES = (tables.summary, tables.speeds, tables.loading, tables.ratios, tables.ratios_once)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_a_cell_for_each_head(table, report_files):
    [section] = sections(read_findings(report_files))
    shown = table(section)
    assert shown.rows
    assert {len(row) for row in shown.rows} == {len(shown.head)}
    assert len(set(shown.head)) == len(shown.head)


def test_the_divergence_stands_under_its_head(report_files):
    [section] = sections(read_findings(report_files))
    shown = tables.summary(section)
    told = [dict(zip(shown.head, row, strict=True))["KL, nats"] for row in shown.rows]
    known = [entry.quality and entry.quality.quality.kl.middle for entry in section.entries]
    assert told == [units.ABSENT if kl is None else f"{kl:.4f}" for kl in known]
    assert any(known)
