from __future__ import annotations

import random

import pytest

from aipc.batch.input import line_index
from aipc.batch.input.line_index import Fault, FaultLog, LineEntry, LineIndex


def entry(number, custom_id, model="m", url="/v1/chat/completions"):
    return LineEntry(number, number * 100, 90, number, custom_id, model, url, 2**64 - number, 7)


def sealed(*entries):
    index = LineIndex()
    for each in entries:
        index.add(each)
    assert index.seal() == []
    return index


def test_entries_come_out_equal_in_their_order():
    given = [entry(1, "a"), entry(2, "bé", model="n"), entry(4, "c", url="/v1/embeddings")]
    index = sealed(*given)
    assert list(index) == given
    assert index[1:] == given[1:]
    assert index[-1] == given[-1]
    with pytest.raises(IndexError):
        index[3]


def test_an_id_leads_to_its_line():
    index = sealed(*(entry(at + 1, f"id-{at}") for at in range(300)))
    assert all(index.find(f"id-{at}") == at for at in range(300))
    assert index.find("id-300") is None
    assert sealed().find("id-0") is None


def test_lines_with_one_id_are_told_and_the_first_stays():
    index = LineIndex()
    for number, custom_id in enumerate("abcabda", 1):
        index.add(entry(number, custom_id))
    assert index.seal() == [(4, 1, "a"), (5, 2, "b"), (7, 1, "a")]
    assert [each.custom_id for each in index] == ["a", "b", "c", "d"]


def test_an_invalid_line_is_dropped_and_its_id_is_taken():
    index = LineIndex()
    index.add(entry(1, "a"), is_valid=False)
    index.add(entry(2, "a"))
    index.add(entry(3, "b"))
    index.add(entry(4, "b"), is_valid=False)
    assert index.seal() == [(2, 1, "a")]
    assert [each.number for each in index] == [3]
    assert index.find("a") is None


def test_ids_that_share_a_hash_stay_apart(monkeypatch):
    monkeypatch.setattr(line_index, "_hash", lambda text: len(text) % 3)
    names = [f"{number}" for number in random.Random(1).sample(range(5000), 200)]
    index = sealed(*(entry(at + 1, name) for at, name in enumerate(names)))
    assert [index.find(name) for name in names] == list(range(200))
    assert index.find("none") is None
    index = LineIndex()
    for number, name in enumerate([*names, names[3]], 1):
        index.add(entry(number, name))
    assert index.seal() == [(201, 4, names[3])]


def test_an_entry_takes_less_than_seventy_bytes_besides_its_id():
    index = sealed(*(entry(at + 1, f"{at:010}") for at in range(1000)))
    assert index.nbytes < 1000 * (70 + 10)


def test_faults_are_all_kept_in_little_memory():
    message = "it is not JSON (Expecting value: line 1 column 1 (char 0))"
    added = [
        Fault(number, f"id-\ud800{number}" if number % 3 else None, message, "body")
        for number in range(25_500)
    ]
    log = FaultLog(added)
    assert len(log) == len(added)
    assert list(log) == list(log) == added
    assert 0 < log.nbytes < 20 * len(added)
