from __future__ import annotations

from pathlib import Path

import pytest

from aipc.cli.conversation.attachments import LARGEST, Attachments
from aipc.errors import UsageError


def test_a_text_file_goes_before_the_question(tmp_path: Path) -> None:
    files = Attachments()
    (tmp_path / "notes.md").write_text("Grüße\n```\ncode\n```\n", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfone")
    assert files.add(tmp_path / "notes.md") == "notes.md, 4 lines"
    assert files.add(tmp_path / "b.txt") == "b.txt, 1 line"
    assert files.joined("Why?") == (
        "notes.md:\n````\nGrüße\n```\ncode\n```\n````\n\nb.txt:\n```\none\n```\n\nWhy?"
    )
    files.clear()
    assert files.joined("Why?") == "Why?"


def test_two_files_of_one_name_both_go_and_one_attached_again_once(tmp_path: Path) -> None:
    files = Attachments()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.py").write_text(folder)
        files.add(tmp_path / folder / "x.py")
    files.add(tmp_path / "a" / "x.py")
    assert len(files) == 2
    assert files.joined("?") == "x.py:\n```\na\n```\n\nx.py:\n```\nb\n```\n\n?"


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    files = Attachments()
    for name, data, what in (
        ("latin", b"caf\xe9", "is not UTF-8 text"),
        ("binary", b"a\0b", "is no text"),
        ("empty", b" \n", "is empty"),
        ("long", b"x" * (LARGEST + 1), "4.0 MB is the most"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=what):
            files.add(tmp_path / name)
    with pytest.raises(UsageError, match="is no file"):
        files.add(tmp_path / "missing")
    with pytest.raises(UsageError, match="is a folder"):
        files.add(tmp_path)
    assert len(files) == 0
