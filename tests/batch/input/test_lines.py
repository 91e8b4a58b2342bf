from __future__ import annotations

import hashlib
import json
import tracemalloc

import pytest
from batch_files import CHAT, line, lines, text

from aipc.batch.input import lines as module
from aipc.batch.input.lines import check_input
from aipc.errors import BatchError, UsageError


@pytest.fixture
def given(tmp_path):
    """Writes an input and checks it."""

    def check(content, **options):
        path = tmp_path / "in.jsonl"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return check_input(path, **options)

    return check


def told(error):
    """The faults of an error, a line each."""
    return [row.strip() for row in str(error.value).splitlines()[1:-1]]


def test_each_line_is_found_again_where_its_entry_says(given):
    checked = given(lines(50))
    assert [entry.custom_id for entry in checked.entries] == [f"id-{at}" for at in range(50)]
    read = checked.read(checked.entries[31])
    assert (read.number, read.custom_id, read.url, read.model) == (32, "id-31", CHAT, "m")
    assert json.loads(read.body)["messages"] == [{"role": "user", "content": "question 31"}]


def test_the_hash_is_that_of_the_file(given, tmp_path):
    checked = given(lines(3))
    assert checked.sha256 == hashlib.sha256((tmp_path / "in.jsonl").read_bytes()).hexdigest()


def test_a_mark_carriage_returns_blank_lines_and_a_missing_last_end_are_taken(given):
    content = (
        "\ufeff" + line("a") + "\n  \r\n" + line("b").replace("\n", "\r\n") + line("ü").strip()
    )
    checked = given(content)
    assert [(one.number, one.custom_id) for one in checked.entries] == [
        (1, "a"),
        (4, "b"),
        (5, "ü"),
    ]
    assert [checked.read(one).custom_id for one in checked.entries] == ["a", "b", "ü"]


def test_the_model_of_the_command_answers_every_line(given):
    checked = given(line("a"), model="other")
    assert checked.entries[0].model == "other"
    assert json.loads(checked.read(checked.entries[0]).body)["model"] == "other"
    nameless = text(
        {**json.loads(line("a")), "body": {"messages": [{"role": "user", "content": ""}]}}
    )
    assert given(nameless, model="other").entries[0].model == "other"
    with pytest.raises(UsageError, match="model"):
        given(nameless)


FAULTS = {
    "{": "it is no JSON",
    line("x")[:-20]: "no JSON",
    line("x").replace('"method"', '"custom_id": "y", "method"'): "it has a name twice",
    "[]": "no JSON object",
    text({}): "custom_id",
    line(""): "custom_id",
    line(7): "custom_id",
    line("x" * 513): "custom_id",
    line("x", method="GET"): "method",
    line("x", url="/v1/images"): "/v1/images",
    line("x", url=None): "url",
    text({"custom_id": "x", "method": "POST", "url": CHAT}): "body",
    line("x").replace('"method"', '"priority": 1, "method"'): "priority",
    line("x", temperature=9): "temperature",
    line("x", messages=[]): "messages",
    line("x", model=""): "model",
    line("x", stream=True): "stream",
    line("x", functions=[{}]): "functions",
    text(
        {
            "custom_id": "x",
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": "m", "input": "and?", "previous_response_id": "resp_1"},
        }
    ): "previous_response_id",
    text(
        {
            "custom_id": "x",
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]},
        }
    ): "input[0]",
}


@pytest.mark.parametrize("faulty", FAULTS)
def test_a_line_that_cant_be_asked_is_named_with_what_is_wrong(given, faulty):
    with pytest.raises(UsageError) as error:
        given(line("a") + faulty.removesuffix("\n") + "\n" + line("b"))
    assert len(told(error)) == 1
    assert told(error)[0].startswith("line 2")
    assert FAULTS[faulty] in told(error)[0]
    assert "--skip-invalid" in str(error.value)


def test_all_faults_are_told_before_anything_runs_with_number_and_id(given):
    content = line("a") + "{\n" + line("b", stream=True) + line("a") + line("c") + line("a")
    with pytest.raises(UsageError) as error:
        given(content)
    assert str(error.value).startswith("4 lines")
    rows = told(error)
    assert [row.split(":")[0] for row in rows] == [
        "line 2",
        "line 3 ('b')",
        "line 4 ('a')",
        "line 6 ('a')",
    ]
    assert "line 1 too" in rows[2]
    assert "line 1 too" in rows[3]


def test_of_many_faults_the_first_are_told_and_the_others_counted(given):
    with pytest.raises(UsageError) as error:
        given("{\n" * 3000)
    rows = told(error)
    assert str(error.value).startswith("3,000 lines")
    assert len(rows) == 21
    assert rows[-1] == "and 2,980 more"


def test_faulty_lines_are_left_out_on_demand_and_an_id_stays_one_lines_alone(given):
    content = line("a", stream=True) + line("a") + line("b") + "{\n" + line("b")
    checked = given(content, skip_invalid=True)
    assert [(one.number, one.custom_id) for one in checked.entries] == [(3, "b")]
    assert [(fault.number, fault.custom_id) for fault in checked.faults] == [
        (1, "a"),
        (2, "a"),
        (4, None),
        (5, "b"),
    ]


def test_all_lines_may_be_faulty_but_some_there_must_be(given):
    checked = given("{\n", skip_invalid=True)
    assert (len(checked.entries), len(checked.faults)) == (0, 1)
    with pytest.raises(UsageError, match="no line"):
        given("\n\n")


def test_a_line_beyond_the_limit_is_not_held_and_the_next_is_read(given, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE", 1000)
    content = line("a") + line("long", "x" * 5000) + line("b") + line("also", "y" * 2500).strip()
    checked = given(content, skip_invalid=True)
    assert [one.custom_id for one in checked.entries] == ["a", "b"]
    assert checked.read(checked.entries[1]).custom_id == "b"
    assert [(fault.number, "longer than" in fault.message) for fault in checked.faults] == [
        (2, True),
        (4, True),
    ]
    assert checked.sha256 == hashlib.sha256(content.encode()).hexdigest()


def test_a_line_that_has_changed_since_is_told_and_not_answered(given, tmp_path):
    checked = given(lines(5))
    path = tmp_path / "in.jsonl"
    path.write_text(path.read_text().replace("question 3", "question 4"))
    assert checked.read(checked.entries[2]).custom_id == "id-2"
    with pytest.raises(BatchError, match=r"line 4 of .* has changed"):
        checked.read(checked.entries[3])
    path.write_text("")
    with pytest.raises(BatchError, match=r"line 3 of .* has changed"):
        checked.read(checked.entries[2])
    path.unlink()
    with pytest.raises(BatchError, match="can't read"):
        checked.read(checked.entries[2])


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BatchError, match="can't read"):
        check_input(tmp_path / "none.jsonl")


def test_a_line_takes_some_bytes_of_memory_however_long_it_is(given):
    tracemalloc.start()
    try:
        checked = given("".join(line(f"id-{at:05}", "long " * 400) for at in range(2000)))
        before = tracemalloc.get_traced_memory()[0]
        del checked
        held = before - tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 40 * 2000 < held < 100 * 2000


def test_prompts_that_begin_alike_have_keys_that_lie_together(given):
    first, second = "system one " * 40, "system two " * 40
    content = [
        line(f"id-{at}", (first if at % 2 else second) + f"question {at}", seed=at)
        for at in range(6)
    ]
    ordered = sorted(given("".join(content)).entries, key=lambda entry: entry.prefix)
    parities = [int(entry.custom_id[3:]) % 2 for entry in ordered]
    assert parities in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])


def test_what_is_expected_grows_with_the_prompt_the_limit_and_the_choices(given):
    def expected(**members):
        return given(line("a", **members)).entries[0].expected_tokens

    plain = expected()
    assert expected(max_tokens=10) < plain < expected(prompt="word " * 1000)
    assert expected(max_tokens=10, n=3) > expected(max_tokens=10)
    assert expected(max_tokens=-1) > expected(max_tokens=5000)


def test_members_without_effect_are_counted(given):
    content = line("a", user="x") + line("b", user="y", verbosity="low") + line("c")
    assert given(content).ignored == {"user": 2, "verbosity": 1}
