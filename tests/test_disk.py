from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest
from held_files import DENIED, LOCKED, SHARED, Held, refusal

from aipc import disk
from aipc.errors import ConversionError, DownloadFailed


def test_room_is_asked_of_the_folder_that_will_be(tmp_path):
    assert disk.free(tmp_path / "not" / "yet") > 0


def test_too_little_room_is_said_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free", lambda _: 2_000_000)
    with pytest.raises(DownloadFailed, match=r"it needs 3.0 MB, '.*' has 2.0 MB; free some"):
        disk.require(tmp_path, 3_000_000, "it", DownloadFailed)
    disk.require(tmp_path, 2_000_000, "it", DownloadFailed)


def test_a_disk_that_is_full_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free", lambda _: 5_000)
    with (
        pytest.raises(
            ConversionError, match=r"no space left .* 5.0 kB free, 3.0 MB needed"
        ) as full,
        disk.explained(tmp_path, ConversionError, needed=3_000_000),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert isinstance(full.value.__cause__, OSError)


def test_a_place_where_this_user_may_not_write(tmp_path):
    with (
        pytest.raises(ConversionError, match="no permission for '/root/x'"),
        disk.explained(tmp_path, ConversionError),
    ):
        raise PermissionError(errno.EACCES, "Permission denied", "/root/x")


def test_other_errors_pass(tmp_path):
    with pytest.raises(FileNotFoundError), disk.explained(tmp_path, ConversionError):
        raise FileNotFoundError(errno.ENOENT, "gone")


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "/secret/place"), "No such file"),
        (OSError("the bucket is gone"), "the bucket is gone"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_any_error_of_the_system_is_told_in_one_line(problem, reason):
    with pytest.raises(ConversionError) as caught, disk.told(ConversionError, "no", "mend it"):
        raise problem
    assert str(caught.value) == str(ConversionError(f"no: {reason}", "mend it"))
    assert caught.value.__cause__ is problem


@pytest.fixture
def slept(monkeypatch):
    """How long it waited, and no waiting."""
    pauses = []
    monkeypatch.setattr(disk.time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize("code", [DENIED, SHARED, LOCKED])
def test_a_file_that_is_read_just_now_is_moved_a_little_later(tmp_path, monkeypatch, slept, code):
    source, target = tmp_path / "new", tmp_path / "old"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", Held(Path.replace, code, times=3))
    disk.rename(source, target)
    assert target.read_bytes() == b"new"
    assert slept == [0.01, 0.02, 0.05]


def test_a_file_that_stays_open_is_given_up_and_told(tmp_path, monkeypatch, slept):
    held = Held(Path.replace, SHARED, times=99)
    monkeypatch.setattr(Path, "replace", held)
    told = r"another program uses '.*new'; close what has it open \(a session, a server"
    with (
        pytest.raises(ConversionError, match=told),
        disk.explained(tmp_path, ConversionError),
    ):
        disk.rename(tmp_path / "new", tmp_path / "old")
    assert (held.calls, round(sum(slept), 2)) == (8, 1.58)


def test_what_is_forbidden_for_good_is_not_tried_again(tmp_path, slept):
    calls = []

    def forbidden():
        calls.append(1)
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    with pytest.raises(PermissionError):
        disk.patiently(forbidden)
    assert (calls, slept) == ([1], [])


def test_a_denied_folder_may_have_an_open_file_in_it(tmp_path):
    told = r"no permission for '.*thing' \(Access is denied\); close what has it open, check its"
    with (
        pytest.raises(ConversionError, match=told),
        disk.explained(tmp_path, ConversionError),
    ):
        raise refusal(DENIED, tmp_path / "thing")


@pytest.mark.parametrize(("code", "number"), [(3, errno.ENOENT), (206, errno.ENOENT)])
def test_a_path_that_is_too_long_for_windows_is_told_so(tmp_path, code, number):
    path = "C:\\" + "\\".join(["folder" * 5] * 9)
    told = rf"has {len(path)} characters, more than Windows takes here; enable long paths"
    with (
        pytest.raises(ConversionError, match=told),
        disk.explained(tmp_path, ConversionError),
    ):
        raise refusal(code, path, number)


def test_a_short_path_that_is_not_there_stays_what_it_is(tmp_path):
    with (
        pytest.raises(FileNotFoundError),
        disk.explained(tmp_path, ConversionError),
    ):
        raise refusal(3, "C:\\gone", errno.ENOENT)


@pytest.mark.parametrize(
    "name",
    [
        *("con", "NUL", "nul.json", "Aux.safetensors", "com1", "LPT9.bin", "com\u00b9"),
        *("CONIN$", "prn .x", "end.", "end "),
    ],
)
def test_names_that_windows_keeps_or_changes(name):
    assert not disk.is_portable(name)


@pytest.mark.parametrize(
    "name", ["config.json", "console", "com", "com10", "nully.bin", ".con", "a.nul"]
)
def test_names_for_every_system(name):
    assert disk.is_portable(name)


def test_a_scratch_folder_is_gone_after_its_block(tmp_path):
    with disk.scratch(parent=tmp_path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_scratch_folders_of_killed_processes_go_and_others_stay(tmp_path):
    killed = tmp_path / "aipc-scratch-killed"
    (killed / "files").mkdir(parents=True)
    (killed / "lock").touch()
    with disk.scratch(parent=tmp_path) as alive:
        for folder in (killed, alive.parent):
            os.utime(folder, (0, 0))
        with disk.scratch(parent=tmp_path):
            assert not killed.exists()
            assert alive.is_dir()


def test_a_disk_that_has_no_room_for_a_scratch_folder_is_told(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "lock")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with (
        pytest.raises(ConversionError, match="no space left in"),
        disk.scratch(ConversionError, tmp_path),
    ):
        pytest.fail("it has none")
    assert list(tmp_path.iterdir()) == []


def test_libraries_have_their_temporary_files_in_a_scratch_folder():
    before = tempfile.gettempdir()
    with disk.scratch_of_libraries(ConversionError), tempfile.TemporaryDirectory() as folder:
        assert "aipc-scratch-" in folder
    assert tempfile.gettempdir() == before


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_moved_only_to_where_there_is_none(tmp_path, monkeypatch, links):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(type(tmp_path), "hardlink_to", refuse)
    source, target = tmp_path / "draft", tmp_path / "file"
    source.write_text("new")
    disk.rename_new(source, target)
    assert (target.read_text(), source.exists()) == ("new", False)
    source.write_text("newer")
    with pytest.raises(FileExistsError):
        disk.rename_new(source, target)
    assert target.read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="renamed there in one step")
def test_a_file_that_was_moved_is_not_taken_for_another_that_was_there(tmp_path, monkeypatch):
    """On a disk that turns read-only between the second name and the end of the first."""

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    source, target = tmp_path / "draft", tmp_path / "file"
    source.write_text("new")
    monkeypatch.setattr(type(tmp_path), "unlink", refuse)
    disk.rename_new(source, target)
    assert target.read_text() == "new"
