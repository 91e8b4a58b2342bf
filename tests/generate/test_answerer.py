from __future__ import annotations

import pytest

from aipc.generate import Answerer, Finished, Text, Timings, Usage


class Echo(Answerer):
    closed = False

    def stream(self, prompt, **options):
        yield Text(prompt * options.get("times", 1), ())
        yield Finished("stop", Usage(1, 1), Timings(None, None, 0.0))

    def close(self):
        self.closed = True


def test_the_whole_answer_is_the_streamed_one():
    assert Echo().generate("a", times=3).text == "aaa"


def test_leaving_the_block_closes_whatever_happened():
    with pytest.raises(KeyError), Echo() as echo:
        raise KeyError
    assert echo.closed
