"""The whole of an evaluation, on a tiny network: with scores, without them, kept and read."""

from __future__ import annotations

import json
from functools import partial

import pytest
import tiny
from answering import Answering

import aipc
from aipc.convert.recipe import Recipe
from aipc.errors import MeasurementError, UsageError
from aipc.measure.quality.evaluation import EvaluationOptions, evaluate, read, write
from aipc.measure.quality.passages import Cut, Passage
from aipc.measure.quality.quality import EvaluationText
from aipc.models.store import Store

EXAM = EvaluationText(
    (Passage("t", "How now, brown cow? " * 20),), Cut(tokens=100, window=40, overlap=8)
)


def quiet(*_):
    pass


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def load(tmp_path_factory, store):
    config = tiny.CONFIGS["llama-gqa"] | {"max_position_embeddings": 1024}
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    tiny.write_checkpoint(folder, config, tiny.random_tensors(config))
    return partial(
        aipc.load, str(folder), runtime="openvino", recipe=Recipe(group_size=32), store=store,
        notify=quiet,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(load, store):
    return evaluate(load, EvaluationOptions(EXAM), store, quiet, quiet)


def test_everything_is_found_out_about_a_model_with_scores(found):
    assert found.quality.kl.middle > 0
    assert found.agreement is None
    assert len(found.tasks.outcomes) == 40
    assert found.tasks.share.middle < 0.1  # its weights are random numbers
    assert len(found.answers.answers) == 10
    assert found.run["runtime"] == "openvino"
    assert found.artifact.recipe["weight_format"] == "int4"
    assert found.machine.threads >= 1


def test_a_result_is_kept_once_and_read_again(found, tmp_path):
    write(found, tmp_path / "new" / "eval.json")
    assert read(tmp_path / "new" / "eval.json") == found
    with pytest.raises(MeasurementError, match="exists already"):
        write(found, tmp_path / "new" / "eval.json")


def test_one_of_the_first_schema_is_read_whose_machines_had_no_id(report_files):
    found = read(report_files[2])
    assert json.loads(report_files[2].read_text("utf-8"))["schema"] == 1
    assert (found.schema, found.machine.id) == (2, None)


@pytest.mark.parametrize("text", ["[]", '{"schema": 99}', '{"schema": 1}', "no JSON"])
def test_what_is_no_evaluation_is_refused(text, tmp_path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(MeasurementError, match="no usable evaluation"):
        read(tmp_path / "x.json")
    with pytest.raises(MeasurementError, match="can't be read"):
        read(tmp_path / "none.json")


def test_where_there_are_no_scores_agreement_is_asked_for(load, store):
    """The same model, requested single tokens as if it ran on an NPU."""
    real = []

    def as_if_npu():
        real.append(load())
        facts = {**real[-1].facts, "device": "NPU (emulated)"}
        session = Answering(answer=lambda prompt: "", facts=facts)
        session.stream_ids = real[-1].stream_ids
        return session

    found = evaluate(as_if_npu, EvaluationOptions(EXAM, tasks=False), store, quiet, quiet)
    assert found.quality is None
    assert found.tasks is found.answers is None
    scored = evaluate(load, EvaluationOptions(EXAM, tasks=False), store, quiet, quiet).quality
    assert found.agreement.places == 64
    assert found.agreement.top1.low <= scored.top1.middle <= found.agreement.top1.high
    with pytest.raises(UsageError, match="leave out --against none"):
        evaluate(as_if_npu, EvaluationOptions(EXAM, "none", tasks=False), store, quiet, quiet)
    for session in real:
        session.close()
