"""What ``aipc prove`` asks, shows and writes; how devices are tried is tests/measure's business."""

from __future__ import annotations

import sys

import proofs
import pytest

from aipc.measure.prove.record import read_proof, signed, to_json
from aipc.measure.prove.summary import summary

STEM = "aipc-prove-intel-r-ai-boost-2026-11-29"


@pytest.fixture
def proved(monkeypatch, tmp_path):
    """A finished proof in the place of proving; what it was asked is kept."""
    asked = {}
    monkeypatch.chdir(tmp_path)

    def prove(self, name=None, **options):
        asked.update(name=name, minutes=self._options.minutes, **options)
        return signed(proofs.a_proof())

    monkeypatch.setattr("aipc.measure.prove.prove.Prover.prove", prove)
    return asked


@pytest.fixture
def answering(monkeypatch):
    """Somebody at a terminal, who answers so."""

    def answer(text):
        monkeypatch.setattr("aipc.cli.prove.is_terminal", lambda: True)
        return {"stdin": text}

    return answer


def test_both_files_are_shown_whole_and_written(aipc, proved, tmp_path):
    outcome = aipc("prove", "--yes", "-o", "out", "--device", "npu", "--minutes", "7")
    assert outcome.status == 0
    assert proved == {
        "name": None,
        "minutes": 7.0,
        "device": "npu",
        "runtime": "auto",
        "emulate": False,
    }
    proof = signed(proofs.a_proof())
    page = (tmp_path / f"out/{STEM}.md").read_text("utf-8")
    assert page == summary(proof)
    assert (tmp_path / f"out/{STEM}.json").read_text("utf-8") == to_json(proof)
    assert read_proof(tmp_path / f"out/{STEM}.json") == proof
    assert outcome.stdout == f"{page}\n{STEM}.json:\n{to_json(proof)}"


def test_it_asks_before_it_writes(aipc, proved, answering, tmp_path):
    outcome = aipc("prove", **answering("n\n"))
    assert outcome.status == 0
    assert "That is all that the files hold. Write them? [y/N]: " in outcome.stderr
    assert outcome.stderr.endswith("nothing was written\n")
    assert list(tmp_path.glob("*.json")) == []
    assert aipc("prove", **answering("y\n")).status == 0
    assert [file.name for file in tmp_path.glob("*.json")] == [f"{STEM}.json"]


def test_where_nobody_can_be_asked_it_says_so_before_any_work(aipc, proved):
    outcome = aipc("prove")
    assert outcome.status == 2
    assert "nobody is here to be asked whether to write the files; give --yes" in outcome.stderr
    assert proved == {}


def test_full_is_phi_3_mini_with_more_time(aipc, proved):
    assert aipc("prove", "--full", "--yes").status == 0
    assert (proved["name"], proved["minutes"]) == ("phi-3-mini", 15.0)
    assert aipc("prove", "--full", "smollm2-135m", "--yes").status == 2


def test_files_that_are_there_are_kept(aipc, proved, tmp_path):
    (tmp_path / f"{STEM}.md").write_text("mine", "utf-8")
    outcome = aipc("prove", "--yes")
    assert outcome.status == 0
    assert (tmp_path / f"{STEM}.md").read_text("utf-8") == "mine"
    assert (tmp_path / f"{STEM}-2.json").is_file()


def test_the_report_makes_the_page_and_the_readme_s_table(aipc, proved, tmp_path):
    aipc("prove", "--yes", "-o", "files")
    (tmp_path / "README.md").write_text(
        "<!-- made by `aipc report --hardware`: begin -->\n<!-- end -->\n", "utf-8"
    )
    outcome = aipc("report", "--hardware", "files", "-o", "page.md", "--readme", "README.md")
    assert (outcome.status, outcome.stderr) == (0, "page: page.md\ntable: README.md\n")
    assert "# Measured machines" in (tmp_path / "page.md").read_text("utf-8")
    assert "| Intel NPU | OpenVINO | built, not run | measured: does not work |" in (
        tmp_path / "README.md"
    ).read_text("utf-8")


def test_flags_of_the_report_that_do_not_go_together(aipc, tmp_path):
    (tmp_path / "files").mkdir()
    folder = str(tmp_path / "files")
    assert aipc("report", "--hardware", folder, "--markdown").status == 2
    assert aipc("report", "--hardware", folder).status == 2  # it is empty
    assert aipc("report", "--readme", __file__).status == 2


def test_nothing_heavy_is_loaded_for_its_help(aipc, monkeypatch):
    monkeypatch.setitem(sys.modules, "aipc.measure.prove.prove", None)
    assert "Try every device through every runtime" in aipc("prove", "--help").stdout
