from __future__ import annotations

import hashlib

import pytest

from aipc.convert.quantizers.calibration import read_calibration
from aipc.errors import UsageError


def letters(text):
    return list(text.encode())


def test_windows_are_whole_and_in_order(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("abcdefghij", "utf-8")
    found = read_calibration(str(file), letters, tokens=9, window=4)
    assert found.ids.tolist() == [letters("abcd"), letters("efgh")]
    assert found.sha256 == hashlib.sha256(b"abcdefghij").hexdigest()


def test_the_builtin_text_is_long_enough_and_plain():
    found = read_calibration("builtin", letters, tokens=10**6)
    assert found.ids.size > 100_000
    assert found.source == "builtin"


def test_a_text_that_is_too_short_or_unreadable_is_refused(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("abc", "utf-8")
    with pytest.raises(UsageError, match="only 3 tokens"):
        read_calibration(str(file), letters, tokens=100, window=4)
    with pytest.raises(UsageError, match="can't be read"):
        read_calibration(str(tmp_path / "missing.txt"), letters, tokens=100)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="can't be read"):
        read_calibration(str(file), letters, tokens=100)
