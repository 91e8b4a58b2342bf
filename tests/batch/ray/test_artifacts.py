"""Answers of nodes that have different artifacts of a model."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from aipc.batch.answers import failed_answer, new_answer
from aipc.batch.input.line_index import LineEntry, LineIndex
from aipc.batch.partial import PartialFile
from aipc.batch.ray.artifacts import SeenArtifacts
from aipc.batch.run_key import RunKey


def answer(node, artifact, model="m", custom_id="id"):
    made = {"node": node, "device": "CPU", "driver": None, "artifact": artifact}
    return replace(new_answer(custom_id, {"model": model}, "req_1"), aipc=made)


def told_of(*answers):
    told = []
    seen = SeenArtifacts(told.append)
    for one in answers:
        seen.see(one)
    return told


def test_the_first_difference_of_a_model_is_told_with_both_nodes():
    told = told_of(answer("a", "1"), answer("b", "2"), answer("c", "3"), answer("a", "1"))
    assert len(told) == 1
    assert told[0].startswith("node b has another artifact of m than node a: ")
    assert "--model-from" in told[0]


def test_other_models_failures_and_models_without_files_are_no_difference():
    failed = replace(failed_answer("id", "code", "why"), aipc={"node": "c", "artifact": "3"})
    without = answer("d", None)
    assert told_of(answer("a", "1"), answer("b", "2", "n"), failed, without) == []


def test_what_was_kept_before_counts(tmp_path):
    index, out, told = LineIndex(), tmp_path / "out", []
    index.add(LineEntry(1, 0, 1, 0, "id"))
    index.seal()
    with closing(PartialFile(out, RunKey("0"), index)) as kept:
        kept.append(answer("a", "1"))
    seen = SeenArtifacts(told.append)
    PartialFile(out, RunKey("0"), index, see=seen.see).close()
    seen.see(answer("a", "2"))
    assert len(told) == 1
    assert told[0].startswith("node a has another artifact of m than before: ")
