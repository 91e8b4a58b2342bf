from __future__ import annotations

from pathlib import Path


def test_it_prints_where_the_model_is(aipc, monkeypatch) -> None:
    seen = []

    def pull(name: str, *, progress, notify) -> Path:
        seen.append(name)
        notify("fetching it")
        return Path("store/it")

    monkeypatch.setattr("aipc.session.convert.pull", pull)
    outcome = aipc("pull", "phi-3-mini")
    assert seen == ["phi-3-mini"]
    assert outcome.stdout.strip() == str(Path("store/it"))
    assert outcome.stderr == "fetching it\n"


def test_an_unknown_name_is_one_line(aipc) -> None:
    outcome = aipc("pull", "phi-3-mni")
    assert outcome.status == 1
    assert outcome.stderr.startswith("aipc: no model is called 'phi-3-mni'")
    assert "'phi-3-mini'" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
