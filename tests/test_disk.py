from __future__ import annotations

import errno

import pytest

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
