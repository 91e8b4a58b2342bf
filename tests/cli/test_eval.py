"""What ``aipc eval`` asks for and shows; what it finds is tests/measure's business."""

from __future__ import annotations

import json

import pytest

from aipc.measure.bench.result import ArtifactFacts, MachineFacts
from aipc.measure.quality import evaluation
from aipc.measure.quality.degenerate import AnswerChecks, check_answer
from aipc.measure.quality.divergence import Agreement
from aipc.measure.quality.evaluation import SCHEMA, Evaluation
from aipc.measure.quality.quality import Quality, TextFacts
from aipc.measure.quality.tasks import Scores, TaskOutcome
from aipc.measure.statistics import Interval
from aipc.records import without_hash


def interval(middle):
    return Interval(middle * 0.9, middle, middle * 1.1, 0.95)


QUALITY = Quality(
    text=TextFacts(("a.txt", "b.txt"), "00", {"a.txt": 1000, "b.txt": 1048}, 512, 128),
    loss=interval(3.0),
    perplexity=interval(20.0),
    reference_perplexity=interval(19.0),
    perplexity_ratio=interval(1.0526),
    kl=interval(0.05),
    kl_by_passage={"a.txt": 0.04, "b.txt": 0.06},
    top1=interval(0.9),
    top5=interval(0.99),
    scored={"runtime": "openvino", "device": "CPU", "numerics": {"KV_CACHE_PRECISION": "u8"}},
    reference={},
)
FOUND = Evaluation(
    schema=SCHEMA,
    created="2026-11-22T10:00:00+00:00",
    aipc="0.1.0",
    model="tiny",
    machine=MachineFacts("cpu", 2, 2, (), 1, "linux", ()),
    artifact=ArtifactFacts(name="tiny", nbytes=1, sha256="00", recipe={}, needs=None),
    run={"runtime": "openvino"},
    quality=QUALITY,
    agreement=None,
    tasks=Scores(
        interval(0.5),
        (TaskOutcome("facts", "?", "a", right=True), TaskOutcome("copying", "?", "b", right=False)),
    ),
    answers=AnswerChecks(
        (check_answer("Say no.", "no " * 30, (1,) * 30), check_answer("?", "Yes.", (1, 2)))
    ),
)


@pytest.fixture
def found(monkeypatch):
    """Put a result in the place of the work; gives what was requested."""
    asked = []

    def install(result):
        def evaluate(load, wanted, *_):
            asked.append((load, wanted))
            return result

        monkeypatch.setattr(evaluation, "evaluate", evaluate)
        return asked

    return install


def test_the_figures_go_to_stdout_and_what_they_stand_on_to_stderr(aipc, found):
    found(FOUND)
    outcome = aipc("eval", "tiny")
    assert outcome.status == 0
    lines = outcome.stdout.splitlines()
    assert lines[0] == "perplexity      20.00 (18.00 to 22.00)"
    assert "KL divergence   0.0500 (0.0450 to 0.0550) nats from the reference" in lines
    assert "same top token  90.0% (81.0% to 99.0%)" in lines
    assert "right answers   1 of 2 (45% to 55%)" in lines
    assert "                1 of 1 in general knowledge" in lines
    assert "open answers    1 of 2 without a flaw" in lines
    assert "                ends in a loop: Say no." in lines
    assert max(map(len, lines)) <= 100
    assert "2,048 places of a.txt and b.txt" in outcome.stderr
    assert "KV_CACHE_PRECISION=u8" in outcome.stderr


def test_an_agreement_says_that_it_is_an_estimate(aipc, found):
    agreement = Agreement(64, interval(0.9))
    found(Evaluation(**{**vars(FOUND), "quality": None, "agreement": agreement}))
    shown = aipc("eval", "tiny").stdout.splitlines()[0]
    assert shown == "same top token  90.0% (81.0% to 99.0%), estimated from 64 answers"


def test_without_a_reference_nothing_is_compared(aipc, found):
    alone = dict.fromkeys(("kl", "top1", "top5", "perplexity_ratio", "reference_perplexity"))
    found(Evaluation(**{**vars(FOUND), "quality": Quality(**{**vars(QUALITY), **alone})}))
    assert "reference" not in aipc("eval", "tiny").stdout


def test_one_json_object_and_a_file_hold_everything(aipc, found, tmp_path):
    found(FOUND)
    outcome = aipc("eval", "tiny", "--json", "-o", str(tmp_path / "e.json"))
    told = json.loads(outcome.stdout)
    assert told["quality"]["kl"]["middle"] == 0.05
    assert told["schema"] == SCHEMA
    assert without_hash(json.loads((tmp_path / "e.json").read_text())) == told
    assert evaluation.read(tmp_path / "e.json") == FOUND


def test_what_was_asked_for_arrives(aipc, found, stand_in, tmp_path):
    (tmp_path / "mine.txt").write_text("My text.")
    session, asked = stand_in(), found(FOUND)
    text = ("--text", str(tmp_path / "mine.txt"), "--tokens", "100", "--window", "64")
    others = ("--overlap", "16", "--against", "phi-3-mini", "--no-tasks", "--device", "gpu")
    aipc("eval", "tiny", *text, *others, "--weight-format", "int8", "--ov-config", "A=B")
    ((load, wanted),) = asked
    assert wanted.exam.passages[0].text == "My text."
    assert (wanted.exam.cut.tokens, wanted.exam.cut.window, wanted.exam.cut.overlap) == (
        100, 64, 16,
    )  # fmt: skip
    assert (wanted.against, wanted.tasks) == ("phi-3-mini", False)
    load()
    assert session.loaded["name"] == "tiny"
    assert session.loaded["device"] == "gpu"
    assert session.loaded["properties"] == {"A": "B"}
    assert session.loaded["recipe"].weight_format == "int8"


def test_what_can_not_be_meant_is_refused_before_any_work(aipc):
    assert aipc("eval", "tiny", "--window", "64", "--overlap", "64").status == 2
    assert aipc("eval", "tiny", "--tokens", "3").status == 2
    assert "none.txt" in aipc("eval", "tiny", "--text", "none.txt").stderr


def test_an_artifact_is_not_judged_with_an_adapter(aipc, tmp_path) -> None:
    """Its scores would be those of the artifact alone."""
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "openvino_model.xml").write_text("<net/>")
    outcome = aipc("eval", str(artifact), "--adapter", "org/own")
    assert outcome.status == 2
    assert "is converted already, so no adapter can be merged into it" in outcome.stderr
