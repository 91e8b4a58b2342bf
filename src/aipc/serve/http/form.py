"""A form with a file in it, ``multipart/form-data`` of RFC 7578; the file goes on as it comes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from aipc.serve.http.connection import ClientLeft
from aipc.wire.errors import HTTPError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM = "multipart/form-data"
_MOST_PARTS = 16
_LONGEST_FIELD = 4096
FORM_BYTES = 2 * _MOST_PARTS * _LONGEST_FIELD
"""At most, of a form but for its file."""
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it logs what clients send


class Form:
    """Reads one body: `fields` are its texts, `filename` is as the client calls its file."""

    def __init__(self, content_type: str) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header

        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._refused = FormParserError
        self._read_header = parse_options_header
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._field = ""
        self._is_file = False
        self._text = bytearray()
        self._pieces: list[bytes] = []
        self._parts = 0
        self._is_whole = False
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise _broken("its Content-Type has no boundary")
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": self._end_part,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise _broken("its boundary is too long") from error

    async def receive(
        self, request: Request, name: str, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Read the request's body; the file is the part called ``name``, and goes to ``write``.

        Raises:
            HTTPError: 400, no such form, or no file in it.
            ClientLeft: the client disconnected before the end.
        """
        self._file_name = name
        try:
            async for chunk in request.stream():
                self._parser.write(chunk)
                pieces, self._pieces = self._pieces, []
                for piece in pieces:
                    await write(piece)
        except self._refused as error:
            raise _broken("it is not as RFC 7578 has it") from error
        except ClientDisconnect as error:
            raise ClientLeft from error
        if not self._is_whole:
            raise _broken("it ends too soon")
        if self.filename is None:
            raise HTTPError(400, f"{name}: give a file", code="invalid_value", param=name)

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _broken(f"it has more than {_MOST_PARTS} parts")
        self._headers, self._text = {}, bytearray()

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._check_header()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._name) + len(self._value) > _LONGEST_FIELD:
            raise _broken("a header in it is too long")

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_headers(self) -> None:
        options = self._read_header(self._headers.get(b"content-disposition", b""))[1]
        self._field = _text(options.get(b"name", b""))
        self._is_file = self._field == self._file_name and b"filename" in options
        if self._is_file:
            if self.filename is not None:
                raise _broken(f"it has more than one {self._file_name}")
            self.filename = _text(options[b"filename"])

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _LONGEST_FIELD:
            message = f"{self._field[:40] or 'a field'}: it is longer than {_LONGEST_FIELD} bytes"
            raise HTTPError(400, message, code="invalid_value", param=self._field[:40] or None)

    def _end_part(self) -> None:
        if not self._is_file:
            self.fields[self._field] = _text(bytes(self._text))

    def _on_end(self) -> None:
        self._is_whole = True


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _broken("a name or a field in it is not UTF-8") from error


def _broken(how: str) -> HTTPError:
    message = f"the body is no form that can be read: {how}"
    return HTTPError(400, message, code="invalid_form")
