"""Text to token ids and back, by an artifact's own tokenizer.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from string import ascii_letters
from typing import TYPE_CHECKING, Any

from aipc.artifact.files import TOKENIZER, TOKENIZER_CONFIG
from aipc.errors import ArtifactError, damaged, is_failure
from aipc.runtimes.encoders.encoder import EncodedText
from aipc.runtimes.vendor_errors import translated

if TYPE_CHECKING:
    import tokenizers
import json
import re
from collections.abc import Iterator

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# in UTF-8 punctuation and box drawing begin with E2, emoji with F0, and nothing with 80 to BF
_BEGIN_LETTERS = frozenset((*ascii_letters.encode(), *range(0xC3, 0xEF))) - {0xE2}


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
    from aipc.checkpoint.gguf.byte_level import BYTE_LETTERS

    return {letter: byte for byte, letter in BYTE_LETTERS.items()}


class Tokenizer:
    """Wraps `tokenizers.Tokenizer`; may be used from several threads at once.

    The written form of a special token ("<|end|>") is read as that token wherever it
    stands, in a user's text too: transformers does the same, and the network was trained
    on ids made so.  Text from strangers can therefore end its own turn.
    """

    def __init__(self, backend: tokenizers.Tokenizer, config: Mapping[str, Any]) -> None:
        """Take a backend over, and what tokenizer_config.json says.

        Raises:
            ArtifactError: the config asks for a bos or eos token that it does not name or
                that the vocabulary lacks.
        """
        # a tokenizer.json may ask for truncation, and a prompt would be cut without a word
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self._special = frozenset(
            token for token, added in backend.get_added_tokens_decoder().items() if added.special
        )
        self.special_tokens = _special_tokens(config)
        self._frame = self._explicit_frame(config)

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Read tokenizer.json and, if there is one, tokenizer_config.json.

        Raises:
            ArtifactError: there is no tokenizer.json.
            CheckpointError: one of the two can't be read.
        """
        return cls(_read_backend(folder / TOKENIZER), _read_config(folder / TOKENIZER_CONFIG))

    @property
    def vocabulary_size(self) -> int:
        """Entries of the vocabulary, added tokens included (networks may pad beyond it)."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    @property
    def bos_token(self) -> str | None:
        return self.special_tokens.get("bos_token")

    @property
    def eos_token(self) -> str | None:
        return self.special_tokens.get("eos_token")

    def id_of(self, token: str) -> int | None:
        """The id of one token's written form, or None."""
        return self._backend.token_to_id(token)

    def text_of(self, token: int) -> str:
        """One token's written form; "" outside the vocabulary."""
        return self._backend.id_to_token(token) or ""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Token ids of ``text``.

        ``add_special_tokens`` puts a bos (and whatever else the model's tokenizer adds)
        around it: right for plain text, wrong for what a chat template has rendered,
        which holds its own.  As in transformers 5, an explicit ``add_bos_token`` or
        ``add_eos_token`` in tokenizer_config.json overrules tokenizer.json.

        Raises:
            EngineError: it fails on this text, as one does whose expressions search for too long.
        """
        is_framed = add_special_tokens and self._frame is not None
        with translated("the model's tokenizer failed on this text"):
            ids = self._backend.encode(text, add_special_tokens=add_special_tokens != is_framed).ids
        before, after = self._frame if is_framed and self._frame else ((), ())
        return [*before, *ids, *after]

    def encode_whole(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None, longest: int | None = None
    ) -> list[EncodedText]:
        """Texts as an encoder reads them, or pairs of them and their ``seconds``.

        Of those with more than ``longest`` tokens the end is left out, in a pair that of the longer
        text first, as transformers does.

        Raises:
            EngineError: it fails on one of them.
        """
        with translated("the model's tokenizer failed on this text"):
            whole = self._backend.encode_batch(texts, add_special_tokens=False)
            others = self._backend.encode_batch(seconds or (), add_special_tokens=False)
        if seconds is None:
            return [self._framed(one, None, longest) for one in whole]
        return [self._framed(*pair, longest) for pair in zip(whole, others, strict=True)]

    def _framed(
        self, first: tokenizers.Encoding, second: tokenizers.Encoding | None, longest: int | None
    ) -> EncodedText:
        before, after = self._frame or ((), ())
        added = self._backend.num_special_tokens_to_add(second is not None)
        is_own = second is None and bool(before or after)
        room = None if longest is None else longest - (len(before + after) if is_own else added)
        tokens = len(first.ids) + (0 if second is None else len(second.ids))
        cut = 0 if room is None else max(tokens - room, 0)
        if cut and room is not None:
            kept = _shares(len(first.ids), 0 if second is None else len(second.ids), room)
            for one, count in zip((first, second), kept, strict=True):
                if one is not None:
                    one.truncate(count)
        if is_own:
            ids = [*before, *first.ids, *after]
            return EncodedText(ids, [0] * len(ids), cut)
        done = self._backend.post_process(first, second, add_special_tokens=True)
        return EncodedText(done.ids, done.type_ids, cut)

    def without_end(self, text: str, tokens: int) -> str:
        """The text without its last ``tokens`` tokens, as it is split by itself."""
        offsets = self._backend.encode(text, add_special_tokens=False).offsets
        return text[: offsets[-tokens][0]] if tokens < len(offsets) else ""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens`` without special tokens; ids outside the vocabulary give none.

        Raises:
            EngineError: the tokenizer fails on them.
        """
        with translated("the model's tokenizer failed on the answer"):
            return self._backend.decode(tokens, skip_special_tokens=True)

    def bytes_of(self, token: int) -> bytes:
        """What one token writes, be it part of a character; special tokens write nothing."""
        return b"" if self.is_silent(token) else self._spelling.bytes_of(token)

    def written(self, token: int) -> str:
        """One token as people read it: a special one by name, a part of a character as U+FFFD."""
        if self.is_silent(token):
            return self.text_of(token)
        return self._spelling.bytes_of(token).decode(errors="replace")

    def has_letter(self, token: int) -> bool:
        """Whether one token writes a letter of any script, or the beginning of one."""
        piece = self.bytes_of(token)
        try:
            return any(map(str.isalpha, piece.decode()))
        except UnicodeDecodeError:
            return not _BEGIN_LETTERS.isdisjoint(piece)

    @cached_property
    def _spelling(self) -> TokenBytes:
        return TokenBytes(self._backend)

    def is_silent(self, token: int) -> bool:
        """Whether `decode` leaves this id out: a special token, or outside the vocabulary."""
        return token in self._special or self._backend.id_to_token(token) is None

    def _explicit_frame(
        self, config: Mapping[str, Any]
    ) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        if "add_bos_token" not in config and "add_eos_token" not in config:
            return None
        before = (self._required("bos_token"),) if config.get("add_bos_token") else ()
        after = (self._required("eos_token"),) if config.get("add_eos_token") else ()
        return before, after

    def _required(self, name: str) -> int:
        token = self.special_tokens.get(name)
        number = None if token is None else self.id_of(token)
        if number is None:
            raise ArtifactError(
                f"tokenizer_config.json asks for add_{name}, but {name} is {token!r}",
                f"name the token there, or set add_{name} to false",
            )
        return number


def _shares(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text are kept where both have to fit."""
    half = room // 2
    if first <= half:
        return first, room - first
    return (room - second, second) if second <= half else (half, room - half)


def _special_tokens(config: Mapping[str, Any]) -> Mapping[str, str]:
    """The named ones ("bos_token" …): a string, or a mapping as AddedToken is written."""
    named = {name: value for name, value in config.items() if name.endswith("_token")}
    texts = {
        name: value.get("content") if isinstance(value, Mapping) else value
        for name, value in named.items()
    }
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _read_backend(path: Path) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as Backend

    if not path.is_file():
        raise ArtifactError(f"'{path.parent}' has no {path.name}", "convert the model again")
    try:
        return Backend.from_file(str(path))
    except BaseException as error:  # the binding raises nothing narrower
        if not is_failure(error):
            raise
        raise damaged(path, str(error)) from error


def _read_config(path: Path) -> Mapping[str, Any]:
    from aipc.records import read_object

    return read_object(path) if path.is_file() else {}
