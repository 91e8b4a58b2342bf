from __future__ import annotations

import pytest

from aipc.wire.errors import HTTPError
from aipc.wire.strict_json import MAX_DEPTH, parse


def nested(depth):
    return b"[" * depth + b"]" * depth


def test_plain_values_come_as_json_reads_them():
    text = '{"a": [1, -2.5e3, true, null, "grün \\ud83d\\ude00"]}'
    assert parse(text.encode()) == {"a": [1, -2500.0, True, None, "grün \U0001f600"]}
    assert parse(nested(MAX_DEPTH))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"b": {"a": 1, "a": 2}}', "twice"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"1e999", "64 bits"),
        (b"123456789012345678901", "64 bits"),
        (b"[" + b"9" * 100_000 + b"]", "64 bits"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\ud800": 1}', "surrogate"),
        (nested(MAX_DEPTH + 1), "deeper"),
        (nested(500_000), "deeper"),
    ],
)
def test_what_a_careless_reader_lets_through_is_refused(body, reason):
    with pytest.raises(HTTPError, match=reason) as caught:
        parse(body)
    assert caught.value.status == 400


def test_a_byte_order_mark_is_taken():
    assert parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    with pytest.raises(HTTPError, match="no JSON"):
        parse(b'{"a": \xef\xbb\xbf1}')
