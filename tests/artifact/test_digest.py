from __future__ import annotations

import hashlib

from aipc.artifact import digest


def test_sha256_of_more_than_one_chunk(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    counts = []
    assert digest.sha256(tmp_path / "file", counts.append) == hashlib.sha256(content).hexdigest()
    assert sum(counts) == len(content)
    assert len(counts) > 1


def test_git_gives_the_same_id(tmp_path):
    (tmp_path / "file").write_bytes(b"what is up, doc?")
    # The worked example of the page that the function cites.
    assert digest.git_blob(tmp_path / "file") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
