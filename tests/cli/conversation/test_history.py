from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from aipc.cli.conversation.history import FILE, LARGEST, open_history


def test_it_is_kept_in_a_file_of_its_owner(tmp_path: Path) -> None:
    home = tmp_path / "home"
    open_history(home, is_kept=True).store_string("one\ntwo")
    open_history(home, is_kept=True).store_string("three")
    assert [*open_history(home, is_kept=True).load_history_strings()] == ["three", "one\ntwo"]
    if sys.platform != "win32":
        assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("")
    (tmp_path / FILE).chmod(0o644)
    open_history(tmp_path, is_kept=True)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_nothing_is_kept_where_that_is_wanted(tmp_path: Path) -> None:
    history = open_history(tmp_path / "home", is_kept=False)
    history.append_string("secret")
    assert history.get_strings() == ["secret"]
    assert not (tmp_path / "home").exists()


def test_a_long_one_forgets_its_older_half(tmp_path: Path) -> None:
    history = open_history(tmp_path, is_kept=True)
    for at in range(120):
        history.store_string(f"{at} " + "x" * 10_000)
    assert (tmp_path / FILE).stat().st_size > LARGEST
    kept = [*open_history(tmp_path, is_kept=True).load_history_strings()]
    assert kept[0].startswith("119 ")
    assert 50 < len(kept) < 70
    assert all(one.endswith("x") and one.split()[0].isdecimal() for one in kept)


@pytest.mark.skipif(os.name != "posix", reason="a folder that is a file")
def test_a_place_that_takes_none_is_told(tmp_path: Path, capsys) -> None:
    (tmp_path / "home").write_text("a file")
    open_history(tmp_path / "home", is_kept=True).store_string("x")
    assert "what you type is not kept: can't write" in capsys.readouterr().err
