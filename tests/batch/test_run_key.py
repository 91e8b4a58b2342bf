from __future__ import annotations

import pytest

from aipc.batch.run_key import RunKey

KEY = RunKey("ab12", None, {"m": "h1", "n": "h2"}, {"exact": True})


def test_a_key_comes_out_of_its_line_equal():
    assert RunKey.from_line(KEY.line()) == KEY
    assert KEY.differences(RunKey.from_line(KEY.line())) == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (RunKey("cd34", None, KEY.artifacts, KEY.options), ["the input has changed"]),
        (
            RunKey("ab12", "x", KEY.artifacts, KEY.options),
            ["the model was each line's own, is 'x'"],
        ),
        (
            RunKey("ab12", None, {"m": "h3", "n": "h2"}, KEY.options),
            ["the artifact of 'm' is another"],
        ),
        (RunKey("ab12", None, {"m": "h1"}, KEY.options), ["the artifact of 'n' is another"]),
        (
            RunKey("ab12", None, KEY.artifacts, {"exact": False}),
            ["option exact was true, is false"],
        ),
        (
            RunKey("", "x", KEY.artifacts, {}),
            [
                "the input has changed",
                "the model was each line's own, is 'x'",
                "option exact was true, is null",
            ],
        ),
    ],
)
def test_each_difference_is_named(now, told):
    assert KEY.differences(now) == told


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b'{"aipc_batch": 99, "input": ""}', b'{"aipc_batch": 1, "x": 2}']
)
def test_what_is_no_key_is_none(line):
    assert RunKey.from_line(line) is None
