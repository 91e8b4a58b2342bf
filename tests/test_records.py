from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from aipc.errors import CheckpointError, MeasurementError
from aipc.records import (
    LIMIT,
    JsonCache,
    Misfit,
    drafted,
    key_of,
    plain,
    read,
    read_object,
    replace_text,
    replacing,
    write_new,
    write_object,
)


@dataclass(frozen=True)
class Part:
    size: float
    name: str | None = None


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    counts: Mapping[str, int]
    times: tuple[tuple[float, ...], ...] = ()
    part: Part | None = None


WHOLE = Whole((Part(1.5, "a"), Part(2.0)), {"x": 1}, ((0.5, 1.0),), Part(3.0))


def as_json(instance):
    return json.loads(json.dumps(plain(instance)))


def test_what_was_written_reads_back():
    assert read(Whole, as_json(WHOLE)) == WHOLE


def test_a_whole_number_is_a_float_where_one_is_declared():
    found = read(Part, {"size": 2})
    assert type(found.size) is float


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"parts": 3}, "parts is 3, not a list"),
        ({"parts": [{"size": "big"}]}, r"parts\[0\]\.size is 'big', not float"),
        ({"parts": [{"name": "a"}]}, r"parts\[0\]\.size is missing"),
        ({"parts": [{"size": True}]}, r"parts\[0\]\.size is True, not float"),
        ({"counts": {"x": 1.5}}, r"counts\.x is 1\.5, not int"),
        ({"counts": []}, "counts is .., not an object"),
        ({"times": [[1.0], 2.0]}, r"times\[1\] is 2\.0, not a list"),
        ({"color": "red"}, "color is not known"),
        ({"part": {"size": None}}, r"part\.size is None, not float"),
    ],
)
def test_a_misfit_names_the_field_by_its_path(change, complaint):
    with pytest.raises(Misfit, match=complaint):
        read(Whole, {**as_json(WHOLE), **change})


def test_what_is_no_object_is_refused():
    with pytest.raises(Misfit, match=r"it is \[1, 2\], not an object"):
        read(Whole, [1, 2])


def test_reads_what_it_wrote(tmp_path):
    content = {"name": "Φ-3 \ud800", "sizes": [1, 2.5, None, True]}
    write_object(tmp_path / "a.json", content)
    assert read_object(tmp_path / "a.json") == content


def test_lines_end_the_same_everywhere(tmp_path):
    write_object(tmp_path / "a.json", {"a": 1})
    assert (tmp_path / "a.json").read_bytes() == b'{\n  "a": 1\n}\n'


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"\xff\xfe{}", "in UTF-16; save it as UTF-8"),
        (b"[]", "it is no JSON object"),
        (b'"text"', "it is no JSON object"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": ' + b"[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_no_object_is_refused_in_one_line(tmp_path, data, why):
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=why) as caught:
        read_object(path)
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_above_the_limit_is_refused(tmp_path):
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(LIMIT + 1)
    with pytest.raises(CheckpointError, match=str(LIMIT)):
        read_object(path)


def test_what_can_not_be_read_says_why(tmp_path):
    with pytest.raises(CheckpointError, match=r"can't read .*nothing"):
        read_object(tmp_path / "nothing.json")
    with pytest.raises(CheckpointError, match="can't read"):
        read_object(tmp_path)


def test_infinity_is_allowed_as_some_configurations_have_it(tmp_path):
    (tmp_path / "config.json").write_text('{"limit": Infinity}')
    assert read_object(tmp_path / "config.json") == {"limit": json.loads("Infinity")}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "new" / "a.txt"
    replace_text(file, "first\n")
    replace_text(file, "second\n")
    assert file.read_bytes() == b"second\n"
    with pytest.raises(ZeroDivisionError):
        write_half(file)
    assert file.read_text("utf-8") == "second\n"
    assert list(file.parent.iterdir()) == [file]


def test_a_draft_of_a_killed_process_is_known_by_its_name(tmp_path):
    file = tmp_path / "a.x\n.txt"
    with replacing(file) as draft:
        draft.touch()
        assert drafted(draft.name) == file.name
    for name in (file.name, ".a.part", ".a.txt.12-0.part", "a.txt.0123456789abcdef.part"):
        assert drafted(name) == name


def test_the_same_process_id_elsewhere_has_other_drafts(tmp_path):
    """As containers have that share a folder."""
    script = "import os, sys; from pathlib import Path; os.getpid = lambda: 1\n"
    script += "from aipc.records import replacing\n"
    script += "with replacing(Path(sys.argv[1])) as draft: draft.touch(); print(draft.name)"
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    assert len({subprocess.check_output(command) for _ in range(2)}) == 2


def write_half(file):
    with replacing(file) as draft:
        draft.write_text("half of the third")
        raise ZeroDivisionError


def test_writers_at_once_do_not_meet(tmp_path):
    file = tmp_path / "a.txt"
    texts = [str(number) * 10_000 for number in range(10)]
    writers = [threading.Thread(target=replace_text, args=(file, text)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert file.read_text("utf-8") in texts
    assert list(tmp_path.iterdir()) == [file]


def test_a_cached_value_is_found_under_all_that_it_holds_for(tmp_path):
    cache = JsonCache(tmp_path / "cache")
    assert cache.find({"model": "a"}) is None
    cache.keep({"model": "a", "sizes": (1, 2)}, {"kl": 0.5})
    assert cache.find({"sizes": [1, 2], "model": "a"}) == {"kl": 0.5}
    assert cache.find({"model": "a", "sizes": [1, 3]}) is None


def test_a_damaged_cache_is_an_empty_one(tmp_path):
    cache = JsonCache(tmp_path)
    cache.keep("a", 1)
    file = tmp_path / f"{key_of('a')}.json"
    for damage in ("", "{", "[]", '{"identity": "b", "value": 2}'):
        file.write_text(damage)
        assert cache.find("a") is None


def test_a_value_that_changed_on_the_disk_is_none(tmp_path):
    cache = JsonCache(tmp_path)
    cache.keep("a", {"device": "CPU", "agreed": 16})
    file = tmp_path / f"{key_of('a')}.json"
    file.write_text(file.read_text().replace("16", "15"))
    assert cache.find("a") is None


def test_a_cache_that_can_not_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    cache = JsonCache(tmp_path / "file")
    cache.keep("a", 1)
    assert cache.find("a") is None


def test_a_mark_before_the_text_is_passed_over(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": 1}', encoding="utf-8-sig")
    assert read_object(path) == {"a": 1}


def test_an_object_is_written_as_json_that_other_readers_take(tmp_path):
    content = {"limit": [0.0, float("inf")], "inside": {"nan": float("nan"), "kept": 1e30}}
    write_object(tmp_path / "config.json", content)
    text = (tmp_path / "config.json").read_text()
    assert "Infinity" not in text
    assert json.loads(text) == {"limit": [0.0, None], "inside": {"kept": 1e30}}


def test_drafts_that_nobody_writes_any_more_go(tmp_path):
    old, new = (tmp_path / f".x.json.{digit * 16}.part" for digit in "ab")
    other = tmp_path / ".x.json.part"
    for path in (old, new, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, 0))
    replace_text(tmp_path / "y.json", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [new.name, other.name, "y.json"]
    )


def test_a_file_is_never_overwritten(tmp_path):
    write_new(tmp_path / "a" / "x.md", "one\n", "another name")
    with pytest.raises(MeasurementError, match="exists already"):
        write_new(tmp_path / "a" / "x.md", "two\n", "another name")
    assert (tmp_path / "a" / "x.md").read_bytes() == b"one\n"
