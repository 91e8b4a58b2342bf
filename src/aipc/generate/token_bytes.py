"""What each token of a vocabulary writes, in bytes: a character may be made of several tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_PLAIN = (*range(33, 127), *range(161, 173), *range(174, 256))


class TokenBytes:
    """Reads byte-level vocabularies (GPT-2's letters for bytes) and sentencepiece's.

    The bytes of an answer's tokens join to its text, but for a space before the first word,
    which sentencepiece's decoder leaves out.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self._backend = backend
        self._added = {
            number: added.content.encode()
            for number, added in backend.get_added_tokens_decoder().items()
        }
        self._letters = _letters() if "ByteLevel" in _kinds(backend) else None

    def bytes_of(self, token: int) -> bytes:
        """Empty for an id outside the vocabulary."""
        if token in self._added:
            return self._added[token]
        written = self._backend.id_to_token(token) or ""
        if self._letters is not None and self._letters.keys() >= set(written):
            return bytes(self._letters[letter] for letter in written)
        byte = _BYTE.fullmatch(written)
        if byte:
            return bytes.fromhex(byte[1])
        return written.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _kinds(backend: tokenizers.Tokenizer) -> set[str]:
    """Of the decoder and all its parts."""
    decoder: Any = backend.decoder
    return set() if decoder is None else set(_types(json.loads(decoder.__getstate__())))


def _types(decoder: Mapping[str, Any]) -> Iterator[str]:
    yield decoder["type"]
    for part in decoder.get("decoders", ()):
        yield from _types(part)


def _letters() -> dict[str, int]:
    """Letter to byte: printable ones stand for themselves, the others come after all bytes."""
    others = [byte for byte in range(256) if byte not in _PLAIN]
    own = {chr(byte): byte for byte in _PLAIN}
    return own | {chr(256 + at): byte for at, byte in enumerate(others)}
