from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from aipc.records import Misfit, plain, read


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
    import json

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
