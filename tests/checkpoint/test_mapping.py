import mmap

import numpy as np
import pytest

from aipc.checkpoint.mapping import map_bytes
from aipc.errors import CheckpointError


@pytest.fixture
def numbered(tmp_path):
    """A file of three pages in which each byte differs from its neighbors."""
    content = np.arange(3 * mmap.ALLOCATIONGRANULARITY + 5) % 251
    path = tmp_path / "numbered"
    path.write_bytes(content.astype(np.uint8).tobytes())
    return path, content


@pytest.mark.parametrize(
    ("offset", "nbytes"),
    [
        (0, 10),
        (3, 1),
        (mmap.ALLOCATIONGRANULARITY - 1, 2),
        (2 * mmap.ALLOCATIONGRANULARITY, 4),
        (7, 0),
    ],
)
def test_gives_the_bytes_asked_for(numbered, offset, nbytes):
    path, content = numbered
    np.testing.assert_array_equal(map_bytes(path, offset, nbytes), content[offset:][:nbytes])


def test_is_read_only(numbered):
    with pytest.raises(ValueError, match="read-only"):
        map_bytes(numbered[0], 0, 4)[0] = 1


def test_a_file_that_became_shorter_is_damaged(numbered):
    path, content = numbered
    with pytest.raises(CheckpointError, match=f"ends before byte {len(content) + 1}"):
        map_bytes(path, len(content), 1)


def test_a_file_that_went_away_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="can't read"):
        map_bytes(tmp_path / "gone", 0, 1)
