from __future__ import annotations

import csv
import json

import pytest

from aipc.batch.input.lines import check_input
from aipc.batch.input.prompts import PromptTable, write_requests
from aipc.errors import BatchError, UsageError


@pytest.fixture
def asked(tmp_path):
    """Writes a table and gives its requests by id, with their lines; faults; and notices."""

    def ask(name, content, column="prompt", **options):
        source, target = tmp_path / name, tmp_path / "requests.jsonl"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        told = []
        faults = write_requests(PromptTable(source, column, **options), target, told.append)
        checked = check_input(target, "m", skip_invalid=True, found=faults)
        found = {
            (entry.number, entry.custom_id): json.loads(checked.read(entry).body)["messages"][-1][
                "content"
            ]
            for entry in checked.entries
        }
        return found, list(checked.faults), told

    return ask


def test_each_line_of_a_text_is_a_prompt_and_its_number_the_id(asked):
    found, faults, _ = asked("in.txt", "\ufefffirst\r\n\n two \nthird", column="line")
    assert found == {(1, "1"): "first", (3, "3"): " two ", (4, "4"): "third"}
    assert faults == []
    _, faults, _ = asked("in.txt", b"a\n\xff\n", column="line")
    assert [(fault.number, fault.message) for fault in faults] == [(2, "it is not UTF-8")]


def test_prompts_are_a_member_of_json_lines(asked):
    content = '{"id": 7, "prompt": "one", "x": 1}\n\n{"id": "b", "prompt": "two", "x": 1}\n'
    found, _, told = asked("in.jsonl", content, ids="id")
    assert found == {(1, "7"): "one", (3, "b"): "two"}
    assert told == ["columns left out of the answers, which tell the id: 'x'"]
    found, _, _ = asked("in.jsonl", content)
    assert found == {(1, "1"): "one", (3, "3"): "two"}


def test_faulty_rows_are_told_by_their_line(asked):
    rows = ['{"id": 1, "prompt": "one"}', "{", "[]", '{"id": 2}', '{"id": 3, "prompt": 5}']
    rows += ['{"prompt": "x"}', '{"id": 1.5, "prompt": "x"}', '{"id": 1, "prompt": "again"}']
    found, faults, _ = asked("in.jsonl", "\n".join(rows), ids="id")
    assert found == {(1, "1"): "one"}
    assert [(fault.number, fault.custom_id) for fault in faults] == [
        (2, None),
        (3, None),
        (4, "2"),
        (5, "3"),
        (6, None),
        (7, None),
        (8, "1"),
    ]
    assert "line 1 too" in faults[-1].message


def test_cells_with_line_ends_commas_and_quotes_stand_on_the_line_they_begin_on(asked, tmp_path):
    rows = [["id", "prompt", "x"], ["a", 'two\nlines, "so"', ""], ["b", "è" * 200_000, "z"]]
    with (tmp_path / "rows.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)
    content = (tmp_path / "rows.csv").read_bytes()
    found, faults, told = asked("in.csv", content, ids="id")
    assert found == {(2, "a"): rows[1][1], (4, "b"): rows[2][1]}
    assert faults == []
    assert told == ["columns left out of the answers, which tell the id: 'x'"]
    found, _, _ = asked("in.csv", content)
    assert list(found) == [(2, "1"), (4, "2")]


def test_a_row_of_csv_with_other_cells_than_the_first_line_names_is_told(asked):
    found, faults, _ = asked("in.csv", "prompt,x\na,1\nb\nc,1,2\n\nd,2\n")
    assert found == {(2, "1"): "a", (6, "4"): "d"}
    assert [fault.number for fault in faults] == [3, 4]


@pytest.mark.parametrize("content", ['prompt\n"open', 'prompt\n"a"b\n', b"prompt\n\xff\n"])
def test_what_is_no_csv_is_refused_with_its_line(asked, content):
    with pytest.raises(UsageError, match="no CSV in UTF-8 near line"):
        asked("in.csv", content)


@pytest.mark.parametrize("content", ["", "text,x\na,b\n", "prompt,prompt\na,b\n"])
def test_a_column_has_to_be_there_once(asked, content):
    with pytest.raises(UsageError, match="a column 'prompt'"):
        asked("in.csv", content)


def test_a_body_has_the_members_and_the_system_text_that_all_share(tmp_path):
    (tmp_path / "in.txt").write_text("hello")
    table = PromptTable(tmp_path / "in.txt", system="Be brief.", members={"max_tokens": 8})
    assert len(write_requests(table, tmp_path / "out.jsonl")) == 0
    body = json.loads((tmp_path / "out.jsonl").read_text())["body"]
    assert body == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"},
        ],
        "max_tokens": 8,
    }


def test_other_files_and_files_that_are_not_there_are_refused(asked, tmp_path):
    with pytest.raises(UsageError, match=r"\.parquet"):
        asked("in.xlsx", "")
    for name in ("none.txt", "none.jsonl", "none.csv", "none.parquet"):
        with pytest.raises(BatchError, match=rf"can't read '.*{name}': No such file") as caught:
            write_requests(PromptTable(tmp_path / name), tmp_path / "out.jsonl")
        assert caught.value.fix == "check its path"


def test_a_copy_that_cannot_be_written_is_told_as_such(tmp_path):
    (tmp_path / "in.txt").write_text("hello\n")
    target = tmp_path / "none" / "out.jsonl"
    with pytest.raises(BatchError, match=r"can't copy the prompts to '.*out\.jsonl'"):
        write_requests(PromptTable(tmp_path / "in.txt"), target)


def test_parquet_is_read_by_its_columns(asked, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"prompt": ["one", None, "three"], "id": [5, 6, 7], "x": [1, 2, 3]})
    parquet.write_table(table, tmp_path / "made.parquet")
    content = (tmp_path / "made.parquet").read_bytes()
    found, faults, told = asked("in.parquet", content, ids="id")
    assert found == {(1, "5"): "one", (3, "7"): "three"}
    assert [(fault.number, fault.custom_id) for fault in faults] == [(2, "6")]
    assert told == ["columns left out of the answers, which tell the id: 'x'"]
    with pytest.raises(UsageError, match="not a column 'text'"):
        asked("in.parquet", content, column="text")
    with pytest.raises(BatchError, match="no whole Parquet file"):
        asked("in.parquet", content[:-20])


def test_parquet_without_its_package_says_what_to_install(asked, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match='`pip install "pyarrow>=18"`'):
        asked("in.parquet", "")


def test_what_is_no_json_is_said_of_the_row(asked):
    _, faults, _ = asked("in.jsonl", '{"prompt": "one"}\n{bad\n')
    assert [fault.number for fault in faults] == [2]
    assert faults[0].message.startswith("it is no JSON in UTF-8")
