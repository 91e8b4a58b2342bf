from __future__ import annotations

from pathlib import Path

ARTIFACT, CHECKPOINT = "org--tiny--main-openvino-int4", "org--tiny--main"


def test_yes_removes_without_asking(aipc, filled_store: Path) -> None:
    outcome = aipc("rm", "--yes", ARTIFACT)
    assert (outcome.status, outcome.stdout) == (0, f"removed {ARTIFACT} (artifact, 1.5 MB)\n")
    assert not (filled_store / "artifacts" / ARTIFACT).exists()
    assert (filled_store / "checkpoints" / CHECKPOINT).exists()


def test_without_a_terminal_yes_is_needed(aipc, filled_store: Path) -> None:
    outcome = aipc("rm", ARTIFACT, stdin="y\n")
    assert outcome.status == 2
    assert "say --yes" in outcome.stderr
    assert (filled_store / "artifacts" / ARTIFACT).exists()


def test_on_a_terminal_it_asks(aipc, filled_store: Path, monkeypatch) -> None:
    monkeypatch.setattr("aipc.cli.answering.stdin.is_terminal", lambda: True)
    outcome = aipc("rm", ARTIFACT, CHECKPOINT, stdin="n\n")
    assert outcome.status == 0
    assert f"{ARTIFACT} (artifact, 1.5 MB)" in outcome.stderr
    assert "nothing removed" in outcome.stderr
    assert (filled_store / "artifacts" / ARTIFACT).exists()
    assert aipc("rm", ARTIFACT, CHECKPOINT, stdin="y\n").status == 0
    assert aipc("models", "--json").stdout == "[]\n"


def test_a_wrong_name_is_found_before_anything_is_lost(aipc, filled_store: Path) -> None:
    outcome = aipc("rm", "--yes", ARTIFACT, "org--tine")
    assert outcome.status == 1
    assert "no 'org--tine'" in outcome.stderr
    assert (filled_store / "artifacts" / ARTIFACT).exists()


def test_a_name_given_twice_is_removed_once(aipc, filled_store: Path) -> None:
    assert aipc("rm", "--yes", ARTIFACT, ARTIFACT).status == 0


def test_no_name_is_wrong_usage(aipc) -> None:
    assert aipc("rm").status == 2
