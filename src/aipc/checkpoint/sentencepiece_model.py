"""Sentencepiece's own file, tokenizer.model, as a tokenizers.Tokenizer.

Format: src/sentencepiece_model.proto of github.com/google/sentencepiece, in the wire format of
protocol buffers, of which these few fields need nothing but lengths and numbers.
"""

from __future__ import annotations

import math
import re
import struct
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.checkpoint.gguf.sentencepiece import build_piece_bpe
from aipc.checkpoint.gguf.vocabulary import BYTE, CONTROL, NORMAL, UNKNOWN, Vocabulary
from aipc.errors import UnsupportedModel, damaged
from aipc.records import read_bytes

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3  # of ModelProto
_MODEL_TYPE, _UNKNOWN_ID, _BEGIN_ID, _END_ID, _PAD_ID = 3, 40, 41, 42, 43  # of TrainerSpec
_CHARSMAP, _DUMMY_PREFIX, _REMOVE_SPACES, _ESCAPE = 2, 3, 4, 5  # of NormalizerSpec
_UNIGRAM, _BPE = 1, 2
_MOST = 2**26  # bytes of a file; Gemma's has 4 million
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # wire types
_TIKTOKEN = re.compile(rb"[A-Za-z0-9+/]+=* \d+\r?\n")
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"

_Fields = Mapping[int, list[Any]]


@dataclass(frozen=True)
class SentencepieceModel:
    """What a tokenizer.model says; the special tokens are None where it has none."""

    path: Path
    vocabulary: Vocabulary
    scores: list[float]
    is_unigram: bool
    charsmap: bytes
    prefix: bool
    """A text begins with a space of its own."""
    removes_spaces: bool
    special: Mapping[str, str]
    """"bos_token", "eos_token", "unk_token", "pad_token", where there are such."""

    def build(self) -> Tokenizer:
        """The tokenizer without added tokens and frame."""
        tokenizer = _unigram(self) if self.is_unigram else self._bpe()
        steps = self._normalizers()
        if steps:
            from tokenizers import normalizers

            own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
            tokenizer.normalizer = normalizers.Sequence([*steps, *own])
        return tokenizer

    def _bpe(self) -> Tokenizer:
        unknown = self.special.get("unk_token")
        return build_piece_bpe(self.vocabulary, self.scores, prefix=self.prefix, unknown=unknown)

    def _normalizers(self) -> list[Any]:
        from tokenizers import Regex, normalizers

        steps: list[Any] = [normalizers.Precompiled(self.charsmap)] if self.charsmap else []
        if self.removes_spaces:
            steps.append(normalizers.Replace(Regex(r"^ +| +$"), ""))
            steps.append(normalizers.Replace(Regex(" {2,}"), " "))
        return steps


def read_sentencepiece(path: Path) -> SentencepieceModel:
    """Read a tokenizer.model.

    Raises:
        CheckpointError: unreadable, or no sentencepiece model.
        UnsupportedModel: a model of words or characters, or in another tokenizer's form.
    """
    data = _read(path)
    try:
        model = _fields(data)
        trainer, normalizer = (_fields(b"".join(model[key])) for key in (_TRAINER, _NORMALIZER))
        pieces = [_fields(piece) for piece in model[_PIECES]]
        tokens = [piece[1][0].decode("utf-8") for piece in pieces]
        scores = [struct.unpack("<f", (piece[2] or [b"\0\0\0\0"])[0])[0] for piece in pieces]
        kinds = [int((piece[3] or [NORMAL])[0]) for piece in pieces]
    except (ValueError, LookupError, TypeError, struct.error, AttributeError) as error:
        raise damaged(path, "it is no sentencepiece model") from error
    vocabulary = Vocabulary(tokens, kinds)
    if not tokens or len(vocabulary.ids) < len(tokens) or not all(map(math.isfinite, scores)):
        raise damaged(path, "its vocabulary is empty, has a piece twice, or one without a score")
    kind = (trainer[_MODEL_TYPE] or [_UNIGRAM])[0]
    if kind not in (_UNIGRAM, _BPE) or not (normalizer[_ESCAPE] or [1])[0]:
        raise UnsupportedModel(
            f"'{path}' is a sentencepiece model of words or characters",
            "put the model's tokenizer.json beside it",
        )
    return SentencepieceModel(
        path,
        vocabulary,
        scores,
        is_unigram=kind == _UNIGRAM,
        charsmap=b"".join(normalizer[_CHARSMAP]),
        prefix=bool((normalizer[_DUMMY_PREFIX] or [1])[0]),
        removes_spaces=bool((normalizer[_REMOVE_SPACES] or [1])[0]),
        special=_special(vocabulary, trainer),
    )


def _read(path: Path) -> bytes:
    data = read_bytes(path, _MOST)
    if _TIKTOKEN.match(data):
        raise UnsupportedModel(
            f"'{path}' is in tiktoken's form",
            "put the model's tokenizer.json beside it: it is in every newer revision",
        )
    return data


def _special(vocabulary: Vocabulary, trainer: _Fields) -> dict[str, str]:
    stated = {"unk_token": (_UNKNOWN_ID, 0), "bos_token": (_BEGIN_ID, 1)}
    stated |= {"eos_token": (_END_ID, 2), "pad_token": (_PAD_ID, -1)}
    special = {}
    for name, (field, default) in stated.items():
        token = _signed((trainer[field] or [default])[0])
        is_there = 0 <= token < len(vocabulary.tokens)
        if is_there and vocabulary.kinds[token] in (CONTROL, UNKNOWN):
            special[name] = vocabulary.tokens[token]
    return special


def _unigram(model: SentencepieceModel) -> Tokenizer:
    """Raises CheckpointError where no piece stands for what is unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    vocabulary = model.vocabulary
    unknown = vocabulary.of_kind(UNKNOWN)
    if not unknown:
        raise damaged(model.path, "no piece stands for what is unknown")
    scored = list(zip(vocabulary.tokens, model.scores, strict=True))
    number = vocabulary.ids[unknown[0]]
    fallback = bool(vocabulary.of_kind(BYTE))
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=number, byte_fallback=fallback))
    spaces: list[Any] = [normalizers.Prepend(_SPACE)] * model.prefix
    tokenizer.normalizer = normalizers.Sequence([*spaces, normalizers.Replace(" ", _SPACE)])
    steps: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] * model.prefix)
    return tokenizer


def _fields(data: bytes) -> defaultdict[int, list[Any]]:
    """A message's fields by number: whole numbers as such, all else as bytes.

    Raises:
        ValueError, LookupError: it is no such message.
    """
    found: defaultdict[int, list[Any]] = defaultdict(list)
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            value: Any
            value, at = _varint(data, at)
        else:
            fixed = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
            length, at = _varint(data, at) if wire == _LENGTH else (fixed[wire], at)
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise ValueError("a field is cut short")
        found[key >> 3].append(value)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
