from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aipc.errors import MeasurementError
from aipc.measure.bench import result


def changed(file, folder, **fields):
    table = json.loads(file.read_text("utf-8"))
    other = folder / "changed.json"
    other.write_text(json.dumps({**table, **fields}), encoding="utf-8")
    return other


def test_the_committed_file_of_a_real_run_still_reads(example):
    assert example.participants[0].name == "aipc"
    assert all(one.samples for one in example.participants)
    assert example.machine.threads == 2


def test_a_result_reads_back_as_it_was_written(example, tmp_path):
    file = tmp_path / "new" / "result.json"
    result.write(example, file)
    assert result.read(file) == example


def test_a_figure_that_changed_afterwards_is_found(example, tmp_path):
    file = tmp_path / "result.json"
    result.write(example, file)
    seen = str(example.participants[0].samples[0].seconds)
    text = file.read_text("utf-8")
    file.write_text(text.replace(seen, f"1{seen}", 1), "utf-8")
    with pytest.raises(MeasurementError, match="it was changed"):
        result.read(file)


def test_energy_that_nobody_counted_is_null_and_not_zero(example, tmp_path):
    file = tmp_path / "result.json"
    result.write(example, file)
    samples = json.loads(file.read_text("utf-8"))["participants"][0]["samples"]
    assert {sample["energy_j"] for sample in samples} == {None}


def test_the_times_of_a_sequence_stand_on_one_line(example, tmp_path):
    file = tmp_path / "result.json"
    result.write(example, file)
    assert len(file.read_text("utf-8").splitlines()) < 3000


def test_a_result_is_never_overwritten(example, tmp_path):
    file = tmp_path / "result.json"
    result.write(example, file)
    before = file.read_bytes()
    with pytest.raises(MeasurementError, match="exists already; results are never overwritten"):
        result.write(replace(example, model="another"), file)
    assert file.read_bytes() == before


def test_a_file_of_an_older_schema_is_brought_up_to_date(example_file, tmp_path, monkeypatch):
    def from_zero(table):
        return {**table, "schema": 2, "model": table["model"].upper()}

    monkeypatch.setitem(result.UPGRADES, 0, from_zero)
    old = changed(example_file, tmp_path, schema=0, model="small")
    assert result.read(old).model == "SMALL"


def test_what_schema_1_called_contestants_are_participants(example, example_file, tmp_path):
    table = json.loads(example_file.read_text("utf-8"))
    old = {**table, "schema": 1, "contestants": table["participants"]}
    del old["participants"]
    file = tmp_path / "old.json"
    file.write_text(json.dumps(old), "utf-8")
    assert result.read(file) == example


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"schema": 99}, "its schema is 99, this aipc reads up to 3"),
        ({"schema": "1"}, "it has no schema number"),
        ({"schema": True}, "it has no schema number"),
        ({"participants": [{}]}, r"participants\[0\]\.name is missing"),
        ({"limits": None}, "limits is None, not an object"),
        ({"weather": "fine"}, "weather is not known"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(example_file, tmp_path, fields, complaint):
    with pytest.raises(MeasurementError, match=complaint):
        result.read(changed(example_file, tmp_path, **fields))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is no usable result"),
        (b"[]", "it has no schema number"),
        (b'{"schema": NaN}', "it holds NaN"),
        (b"\xff\xfe", "is no usable result"),
        (b'{"schema": 1', "is no usable result"),
        (b"[" * 200_000, "is no usable result"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, content, complaint):
    file = tmp_path / "odd.json"
    file.write_bytes(content)
    with pytest.raises(MeasurementError, match=complaint):
        result.read(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MeasurementError, match=r"nowhere\.json' can't be read"):
        result.read(tmp_path / "nowhere.json")
