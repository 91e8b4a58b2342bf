from __future__ import annotations

import pytest

from aipc.convert.quantizers.calibration import files
from aipc.errors import MeasurementError, UsageError
from aipc.measure.quality.passages import (
    Cut,
    Passage,
    cut_ids,
    cut_passages,
    identity,
    read_passages,
)


def predicted(windows):
    """The tokens that the judged places foretell, in order."""
    return [token for window in windows for token in window.ids[window.first + 1 :]]


@pytest.mark.parametrize(("window", "overlap"), [(16, 4), (10, 1), (10, 9), (1000, 128)])
@pytest.mark.parametrize("places", [1, 15, 99])
def test_every_token_is_foretold_once_and_in_order(window, overlap, places):
    windows = list(cut_ids(range(100), places, window, overlap))
    assert predicted(windows) == list(range(1, places + 1))
    assert sum(one.places for one in windows) == places
    assert all(len(one.ids) <= window for one in windows)
    assert all(one.first == overlap - 1 for one in windows[1:])


def test_a_short_text_gives_what_it_has():
    windows = list(cut_ids(range(20), 50, 8, 2))
    assert predicted(windows) == list(range(1, 20))


def test_without_overlap_a_windows_first_token_is_never_foretold():
    windows = list(cut_ids(range(20), 18, 10, 0))
    assert [one.ids for one in windows] == [tuple(range(10)), tuple(range(10, 20))]
    assert predicted(windows) == [*range(1, 10), *range(11, 20)]


def test_a_bos_begins_every_window_and_is_not_foretold():
    windows = list(cut_ids(range(20), 19, 8, 3, begin=(99,)))
    assert all(one.ids[0] == 99 and len(one.ids) <= 8 for one in windows)
    assert predicted(windows) == list(range(1, 20))


def test_what_a_short_passage_lacks_the_next_one_gives():
    passages = Passage("short", "a" * 51), Passage("long", "b" * 500)
    found = cut_passages(passages, lambda text: [ord(one) for one in text], Cut(tokens=200))
    places = {name: sum(one.places for one in windows) for name, windows in found.items()}
    assert places == {"short": 50, "long": 150}


def test_a_text_too_short_to_judge_by_is_refused():
    with pytest.raises(MeasurementError, match="only 9 tokens"):
        cut_passages([Passage("x", "0123456789")], lambda text: list(text.encode()), Cut())


def test_windows_that_overlap_wholly_are_refused():
    with pytest.raises(UsageError, match="leaves nothing"):
        Cut(window=64, overlap=64)


def test_the_builtin_text_is_small_and_none_that_anything_is_calibrated_on():
    passages = read_passages()
    assert sum(len(passage.text.encode()) for passage in passages) <= 100_000
    calibration = files("aipc.convert.quantizers").joinpath("calibration.txt").read_text("utf-8")
    known = set(calibration.split("\n"))
    for passage in passages:
        lines = [line for line in passage.text.split("\n") if len(line) > 40]
        assert len(lines) > 100
        assert not known & set(lines)


def test_a_file_is_read_and_a_missing_one_named(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("Grüße", "utf-8")
    assert read_passages(str(file)) == (Passage("mine.txt", "Grüße"),)
    assert identity(read_passages(str(file))) != identity(read_passages())
    with pytest.raises(UsageError, match=r"none\.txt"):
        read_passages(str(tmp_path / "none.txt"))
