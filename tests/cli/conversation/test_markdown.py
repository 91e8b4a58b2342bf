"""How an answer looks, in whatever pieces it comes; test_chat_terminal.py has it in a chat."""

from __future__ import annotations

import io
import sys

import pyte
import pytest

from aipc.cli.conversation.markdown import MarkdownAnswer, WrappedAnswer

ANSWER = """\
# A title

Some **bold** words, `code`, and a [link](https://example.org) in a paragraph that is longer than a
line of this terminal.

1. one
2. two, which is **important**
   - inner

| a | b |
|---|---|
| 1 | 2 |

```python
def f(x):
    return x  # a comment
```

> quoted

End.
"""


class Screen(io.StringIO):
    """stdout as a terminal that pyte draws."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.screen = pyte.HistoryScreen(columns, rows, history=500, ratio=1)
        self._stream = pyte.Stream(self.screen)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))
        return len(text)

    @property
    def lines(self) -> list[str]:
        above = [
            "".join(row[at].data for at in range(self.screen.columns)).rstrip()
            for row in self.screen.history.top
        ]
        return above + [line.rstrip() for line in self.screen.display]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch):
    def make(columns: int = 60, rows: int = 40) -> Screen:
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(rows))
        monkeypatch.setattr("aipc.cli.conversation.markdown._EVERY_S", 0.0)
        monkeypatch.setattr("aipc.cli.conversation.markdown._SHARE", 0)
        monkeypatch.setattr(sys, "stdout", Screen(columns, rows))
        return sys.stdout

    return make


def shown(made: Screen, text: str, size: int) -> list[str]:
    answer = MarkdownAnswer()
    for start in range(0, len(text), size):
        answer.write(text[start : start + size])
    answer.end()
    return "\n".join(made.lines).rstrip().split("\n")


@pytest.mark.parametrize("rows", [40, 8])
@pytest.mark.parametrize("size", [1, 3, 17])
def test_it_looks_the_same_however_it_comes(screen, size: int, rows: int) -> None:
    whole = shown(screen(), ANSWER, len(ANSWER))
    assert "def f(x):" in whole
    assert "    return x  # a comment" in whole
    assert whole[-1] == "End."
    pieces = shown(screen(rows=rows), ANSWER, size)
    if rows == 40:
        assert pieces == whole
    else:  # a line that has left the screen stays as it was
        assert pieces[-6:] == whole[-6:]


def test_nothing_of_an_answer_is_lost_when_the_terminal_narrows(screen, monkeypatch) -> None:
    made = screen(60, 40)
    words = [f"word{at}" for at in range(60)]
    answer = MarkdownAnswer()
    answer.write(" ".join(words[:30]))
    made.screen.resize(40, 30)
    monkeypatch.setenv("COLUMNS", "30")
    answer.write(" " + " ".join(words[30:]))
    answer.end()
    assert " ".join(made.lines).split() == words


def test_an_empty_answer_writes_nothing(screen) -> None:
    made = screen()
    assert shown(made, "", 1) == [""]
    assert made.screen.cursor.y == 0


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_plain_text_is_broken_between_words(screen, size: int) -> None:
    made = screen(20)
    text = "The quick brown fox  jumps.\n\n  indented\n" + "x" * 25 + " end"
    answer = WrappedAnswer()
    for start in range(0, len(text), size):
        answer.write(text[start : start + size])
    answer.end()
    assert "\n".join(made.lines).rstrip().split("\n") == [
        "The quick brown fox",
        "jumps.",
        "",
        "  indented",
        "x" * 20,
        "x" * 5 + " end",
    ]
