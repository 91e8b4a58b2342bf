from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest
from batch_files import line, lines

from aipc.batch.input.source import checked
from aipc.batch.options import BatchOptions
from aipc.errors import UsageError

PLAIN = BatchOptions()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


def write(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    return tmp_path / name


def test_a_file_of_requests_is_read_where_it_is(tmp_path, out):
    source = write(tmp_path, "in.jsonl", lines(3))
    with checked(source, out, PLAIN) as found:
        assert found.path == source
        assert len(found.entries) == 3
    assert list(tmp_path.iterdir()) == [source]


def test_members_without_effect_are_told(tmp_path, out):
    source, told = write(tmp_path, "in.jsonl", line("a", user="x") + line("b", user="x")), []
    with checked(source, out, PLAIN, notify=told.append):
        assert told == ["without effect: user (2 lines)"]


def test_what_comes_by_a_pipe_is_kept_while_it_is_answered(tmp_path, out, monkeypatch):
    content = (line("a") + line("b")).encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    with checked(None, out, PLAIN) as found:
        assert [found.read(entry).custom_id for entry in found.entries] == ["a", "b"]
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{")))
    with pytest.raises(UsageError, match="1 line of '-'"), checked(None, out, PLAIN):
        pass
    assert list(tmp_path.iterdir()) == []


def test_prompts_become_requests_while_they_are_answered(tmp_path, out):
    source = write(tmp_path, "in.csv", "q,id\nwho?,a\nwhy?,b\n")
    options = BatchOptions(prompt_column="q", id_column="id")
    with checked(source, out, options, "m", members={"max_tokens": 3}) as found:
        first = found.read(found.entries[0])
        assert (first.number, first.custom_id, first.model) == (2, "a", "m")
        assert b'"max_tokens":3' in first.body
        again = found.sha256
    assert list(tmp_path.iterdir()) == [source]
    with checked(source, out, options, "m", members={"max_tokens": 3}) as found:
        assert found.sha256 == again
    with checked(source, out, options, "m", members={"max_tokens": 4}) as found:
        assert found.sha256 != again


def test_faults_of_prompts_are_told_by_the_users_file(tmp_path, out):
    source = write(tmp_path, "in.csv", "q,id\nwho?,a\nwhy?\nand?,a\n")
    options = BatchOptions(prompt_column="q", id_column="id")
    with pytest.raises(UsageError) as error, checked(source, out, options, "m"):
        pass
    rows = str(error.value).splitlines()
    assert rows[0] == f"2 lines of '{source}' can't be asked:"
    assert rows[1].startswith("  line 3:")
    assert rows[2].startswith("  line 4 ('a'):")


@pytest.mark.parametrize(
    ("name", "options", "model", "members", "why"),
    [
        ("in.txt", {}, None, {}, "-m"),
        ("in.csv", {}, "m", {}, "--prompt-column"),
        ("in.txt", {"prompt_column": "q"}, "m", {}, "no columns"),
        ("in.jsonl", {}, "m", {"max_tokens": 1}, "each line"),
    ],
)
def test_options_have_to_fit_the_input(tmp_path, out, name, options, model, members, why):
    source = write(tmp_path, name, "q\nwho?\n")
    with (
        pytest.raises(UsageError, match=why),
        checked(source, out, BatchOptions(**options), model, members=members),
    ):
        pass
