"""Tool calls found in an answer's text, wherever the borders between its pieces fall."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from aipc.generate.events import ToolCall
from aipc.generate.stops import StopStrings
from aipc.generate.structured.tool_format import ToolFormat

_BLANK = " \t\r\n"
_ID_SIGNS = string.ascii_letters + string.digits
_ID_LENGTH = 9
"""Mistral's templates take no other; to everyone else an id is just an id."""


class CallReader:
    """Text in; text and calls out, in their order, the same however the text is cut.

    Text that can't belong to a call is given at once, a call when it is whole.  What turns
    out to be no call (bad JSON, a tool that was not offered) is given as the text that it
    is.  Blanks are dropped between the start and a first call, between calls, and behind the
    last.
    """

    def __init__(self, form: ToolFormat, names: Collection[str]) -> None:
        """``names`` are the tools that were offered."""
        self._form = form
        self._names = names
        self._marker = self._new_marker()
        self._body: _Body | None = None
        self._blank = ""  # blanks that are dropped if a call comes next
        self._is_fresh = True  # at the start or behind a call
        self.calls = 0
        self.is_constrained = False
        """Whether the answer is nothing but the JSON of calls."""

    @classmethod
    def of_constrained(cls, form: ToolFormat, names: Collection[str]) -> CallReader:
        """For an answer that is nothing but the JSON of calls, as `constraint` wants it."""
        reader = cls(replace(form, begin="", end="", bare=True), names)
        reader.is_constrained = True
        return reader

    @property
    def markers(self) -> tuple[str, ...]:
        """What stands around calls, and may be special tokens of the model."""
        return tuple(marker for marker in (self._form.begin, self._form.end) if marker)

    def feed(self, text: str) -> list[str | ToolCall]:
        parts: list[str | ToolCall] = []
        while text:
            text = self._seek(text, parts) if self._body is None else self._read(text, parts)
        return parts

    def finish(self) -> list[str | ToolCall]:
        """What is held, when no more is to come; a call may lack its end marker."""
        parts: list[str | ToolCall] = []
        if self._body is not None:
            self._close(self._body, parts)
        held = self._marker.finish()
        if held or not self.calls:
            held = self._blank + held
        return [*parts, held] if held else parts

    def _new_marker(self) -> StopStrings:
        return StopStrings([self._form.begin] if self._form.begin else [])

    def _seek(self, text: str, parts: list[str | ToolCall]) -> str:
        """Look for the beginning of a call; what is left of ``text`` to look at."""
        if self._is_fresh:
            text = self._skip_blank(text)
            if self._form.bare and text[:1] in {"{", "["}:
                self._body = _Body("", "")
                return text
            self._is_fresh = not text
        before = self._marker.feed(text)
        if before:
            parts.append(self._blank + before)
            self._blank = ""
        if self._marker.matched is None:
            return ""
        self._body = _Body(self._marker.matched, self._form.end)
        return self._marker.after

    def _skip_blank(self, text: str) -> str:
        between = _BLANK + ";" if self._form.bare and self.calls else _BLANK
        rest = text.lstrip(between)
        self._blank += text[: len(text) - len(rest)]
        return rest

    def _read(self, text: str, parts: list[str | ToolCall]) -> str:
        """Read on in a call; what is left of ``text`` behind it."""
        assert self._body is not None  # noqa: S101 - for the type checker
        rest = self._body.feed(text)
        if not self._body.is_whole:
            return ""
        self._close(self._body, parts)
        return rest

    def _close(self, body: _Body, parts: list[str | ToolCall]) -> None:
        calls = list(self._calls(body.json))
        parts.extend(calls or [self._blank + body.text])
        self.calls += len(calls)
        self._blank = ""
        self._body = None
        self._marker = self._new_marker()
        self._is_fresh = bool(calls)

    def _calls(self, text: str) -> Iterator[ToolCall]:
        """All calls in ``text``, or none when one of them is none."""
        try:
            found = [self._call(value) for value in _values(text)]
        except (ValueError, RecursionError):
            return
        yield from found

    def _call(self, value: Any) -> ToolCall:
        name = value.get("name") if isinstance(value, Mapping) else None
        if not isinstance(name, str) or name not in self._names:
            raise ValueError("no call of a tool that was offered")
        arguments = value.get(self._form.arguments, {})
        if isinstance(arguments, str):
            arguments = _load(arguments)
        if not isinstance(arguments, Mapping):
            raise ValueError("the arguments are no object")  # noqa: TRY004 - caught above
        call_id = "".join(secrets.choice(_ID_SIGNS) for _ in range(_ID_LENGTH))
        return ToolCall(call_id, name, json.dumps(arguments, ensure_ascii=False))


class _Body:
    """A call's text, up to an end marker outside the strings of its JSON.

    Without an end marker it ends with the first value.  Time is linear in the text.
    """

    def __init__(self, begin: str, end: str) -> None:
        self._begin = begin
        self._end = end
        self._inner = ""
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        self.is_whole = False

    @property
    def text(self) -> str:
        """All of it, as the model wrote it."""
        return self._begin + self._inner

    @property
    def json(self) -> str:
        return self._inner.removesuffix(self._end)

    def feed(self, text: str) -> str:
        """Add a piece of text; what of it lies behind the end."""
        start = len(self._inner)
        self._inner += text
        for position in range(start, len(self._inner)):
            self._step(self._inner[position])
            if self._ends_at(position):
                self.is_whole = True
                rest = self._inner[position + 1 :]
                self._inner = self._inner[: position + 1]
                return rest
        return ""

    def _step(self, character: str) -> None:
        if self._in_string:
            self._in_string = self._is_escaped or character != '"'
            self._is_escaped = character == "\\" and not self._is_escaped
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1

    def _ends_at(self, position: int) -> bool:
        if self._in_string:
            return False
        if self._end:
            return self._inner.endswith(self._end, 0, position + 1)
        return self._depth <= 0 and self._inner[position] not in _BLANK


def _values(text: str) -> Iterator[Any]:
    """The values of JSON texts in a row, and those in lists of them."""
    text = text.strip()
    if not text:
        raise ValueError("there is nothing")
    while text:
        value, end = _DECODER.raw_decode(text)
        yield from value if isinstance(value, list) else [value]
        text = text[end:].lstrip(_BLANK + ",;")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# strict: small models put line breaks into strings
_DECODER = json.JSONDecoder(parse_constant=_no_number, strict=False)


def _load(text: str) -> Any:
    return _DECODER.decode(text)
