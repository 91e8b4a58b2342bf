"""An answer on a terminal while it is written: Markdown by rich, or plain text between words.

Only the last block (a paragraph, a list, a table, a fence) can still change; what stands before it
is never written again.  Of that block the lines from the first that changes are.
"""

from __future__ import annotations

import re
import sys
import time
from itertools import pairwise
from typing import ClassVar

from markdown_it import MarkdownIt
from prompt_toolkit.utils import get_cwidth
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.syntax import Syntax

from aipc.cli.screen.output import columns, rows, write
from aipc.foreign_text import without_controls

_EVERY_S = 0.04
_SHARE = 4
"""Times as long as the last repaint took before the next one."""
_STYLE = re.compile(r"\x1b\[[\d;]*m")
_WORDS = re.compile(r"\s+|\S+")


class MarkdownAnswer:
    """Rendered block by block, at most 100 columns wide."""

    def __init__(self) -> None:
        self._source = ""
        self._lines = RepaintedLines()
        self._has_blocks = False
        self._next_at = 0.0

    def write(self, text: str) -> None:
        self._source += without_controls(text)
        if time.monotonic() >= self._next_at:
            self._paint()

    def end(self) -> None:
        if self._source.strip():
            self._paint()
            self._lines.keep()
        self._source = ""

    def _paint(self) -> None:
        began = time.monotonic()
        *whole, self._source = _blocks(self._source)
        for block in whole:
            self._show(block)
            self._lines.keep()
            self._has_blocks = True
        self._show(self._source)
        ended = time.monotonic()
        self._next_at = ended + max(_EVERY_S, _SHARE * (ended - began))

    def _show(self, source: str) -> None:
        lines = _rendered(source, columns())
        if lines and self._has_blocks:
            lines = ["", *lines]
        self._lines.show(lines)


class WrappedAnswer:
    """Plain text, broken between words."""

    def __init__(self) -> None:
        self._word = ""
        self._column = 0
        self._is_empty = True

    def write(self, text: str) -> None:
        *whole, self._word = _WORDS.findall(self._word + without_controls(text)) or [""]
        for part in whole:
            self._put(part)

    def end(self) -> None:
        self._put(self._word)
        if self._column:
            write("\n")
        self._word, self._column = "", 0

    def _put(self, part: str) -> None:
        """A word, or the spaces between two."""
        if part.isspace() and "\n" in part:
            write(part)
            self._column = get_cwidth(part.rpartition("\n")[2])
            return
        width = get_cwidth(part)
        if self._column and self._column + width > columns():
            write("\n")
            self._column = 0
            part = part.lstrip()
        write(part)
        self._column = (self._column + get_cwidth(part)) % columns()  # a long one is cut


class RepaintedLines:
    """The last lines of the screen, written again from the first one that differs.

    The cursor stays behind the last of them.  A line that has left the screen at its top stays as
    it is.  After the terminal was made wider or narrower all that is there is written again.
    """

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._width = 0

    def show(self, lines: list[str]) -> None:
        """Each of ``lines`` has to fit the terminal."""
        width, shown = columns(), self._shown
        if (lines, width) == (shown, self._width) or not (lines or shown):
            return
        first = self._first_changed(lines) if width == self._width else 0
        up = len(shown) - 1 - first
        below = "\r\n" if shown else ""
        back = f"\x1b[{up}A" if up > 0 else ""
        start = below if up < 0 else f"\r{back}\x1b[J"
        write(start + "\r\n".join(lines[first:]))
        self._shown, self._width = list(lines), width

    def _first_changed(self, lines: list[str]) -> int:
        """Of those on the screen; the last one at least, where the cursor goes."""
        pairs = zip(lines, self._shown, strict=False)
        changed = (at for at, (new, old) in enumerate(pairs) if new != old)
        first = next(changed, min(len(lines), len(self._shown)))
        if first == len(lines):
            first = max(0, first - 1)
        return min(max(first, len(self._shown) - rows() + 1), len(lines))

    def keep(self) -> None:
        """They stay; others come below them."""
        if self._shown:
            write("\r\n")
        self._shown = []


def _blocks(source: str) -> list[str]:
    """Each with the empty lines behind it; at least one."""
    tokens = _PARSER.parse(source)
    starts = [one.map[0] for one in tokens if one.level == 0 and one.nesting >= 0 and one.map]
    lines = source.split("\n")  # as the parser counts them
    edges = [0, *starts[1:], len(lines)]
    parts = ["\n".join(lines[start:end]) for start, end in pairwise(edges)]
    return [*(f"{part}\n" for part in parts[:-1]), parts[-1]]


def _rendered(source: str, width: int) -> list[str]:
    """Lines with the terminal's codes, none wider than ``width``."""
    console = Console(file=sys.stdout, width=width, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(_Markdown(source, code_theme="ansi_dark", hyperlinks=False))
    lines = [line.rstrip() for line in captured.get().split("\n")]
    written = [at for at, line in enumerate(lines) if _STYLE.sub("", line).strip()]
    return lines[written[0] : written[-1] + 1] if written else []


class _Heading(Heading):
    """At the left, whatever its level."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _Code(CodeBlock):
    """Without rich's margin, so that what is copied is the code."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Syntax(
            code, self.lexer_name, theme=self.theme, word_wrap=True, background_color="default"
        )


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
    }


_PARSER = MarkdownIt().enable("strikethrough").enable("table")
