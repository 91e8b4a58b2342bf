from __future__ import annotations

from aipc.generate import Text
from aipc.serve.api.schemas import tokens_with_logprobs as tokens_of


def test_each_token_has_its_own_text_and_bytes():
    event = Text("a 🙂", (1, 2, 3), (-0.1, -0.2, -0.3), (b"a ", b"\xf0\x9f", b"\x99\x82"))
    assert list(tokens_of(event)) == [
        ("a ", -0.1, b"a "),
        ("\ufffd", -0.2, b"\xf0\x9f"),
        ("\ufffd\ufffd", -0.3, b"\x99\x82"),
    ]


def test_what_writes_nothing_is_left_out():
    assert list(tokens_of(Text("a", (1, 2), (-0.1, -0.2), (b"a", b"")))) == [("a", -0.1, b"a")]
    assert list(tokens_of(Text("", (3,), (-0.1,), (b"stop",)))) == []
    assert list(tokens_of(Text("a", (1,)))) == []
