"""tokenizer.json for a folder that has only the files that came before it.

tokenizer.model of sentencepiece, vocab.json and merges.txt of a byte-level BPE, or Mistral's
tekken.json, with the added tokens and special tokens of the files beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.files import TOKENIZER, TOKENIZER_CONFIG
from aipc.checkpoint import tekken
from aipc.checkpoint.gguf.byte_level import PRE_TOKENIZERS, build_split_bpe
from aipc.checkpoint.gguf.tokenizer import add_marked_tokens, frame
from aipc.checkpoint.sentencepiece_model import read_sentencepiece
from aipc.checkpoint.tekken import TEKKEN
from aipc.errors import UnsupportedModel, misstated, quoted
from aipc.records import read_object, read_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PIECES = "tokenizer.model"
VOCABULARY, MERGES = "vocab.json", "merges.txt"
SPECIAL, ADDED = "special_tokens_map.json", "added_tokens.json"
_SPLITS = {
    "GPT2Tokenizer": "gpt-2",
    "CodeGenTokenizer": "gpt-2",
    "Qwen2Tokenizer": "qwen2",
    "Qwen3Tokenizer": "qwen2",
}
"""``tokenizer_class`` → the line of `PRE_TOKENIZERS` that splits text as it does."""
_ADD_TO_IT = (
    "put the model's tokenizer.json into it, or write it with the transformers package:"
    " AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
)
_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")
_MOST_MERGES = 2**24  # bytes; the largest have 3 million


def source_files(folder: Path) -> tuple[Path, ...]:
    """What the tokenizer is read from: tokenizer.json, or what there is instead."""
    for names in ((TOKENIZER,), (TEKKEN,), (PIECES,), (VOCABULARY, MERGES)):
        if all((folder / name).is_file() for name in names):
            return tuple(folder / name for name in names)
    return ()


def read_tokenizer_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, with the special tokens that only other files state.

    Raises:
        CheckpointError: one of them is damaged.
    """
    config = _object(folder / TOKENIZER_CONFIG)
    stated = {key: value for key, value in _object(folder / SPECIAL).items() if key in _NAMES}
    source = source_files(folder)[:1]
    if source == (folder / PIECES,):
        stated = {**read_sentencepiece(folder / PIECES).special, **stated}
    elif source == (folder / TEKKEN,):
        stated = {**tekken.SPECIAL, **stated}
    lacking = {key: value for key, value in stated.items() if config.get(key) is None}
    return {**config, **lacking}


def build_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder without tokenizer.json.

    Raises:
        CheckpointError: damaged files.
        UnsupportedModel: none that it could be made of.
    """
    config = read_tokenizer_config(folder)
    source = source_files(folder)[:1]
    if source == (folder / TEKKEN,):
        tokenizer = tekken.build_tekken(folder / TEKKEN)
    elif source == (folder / PIECES,):
        tokenizer = _of_pieces(folder)
    elif source:
        tokenizer = _of_merges(folder, config)
    else:
        raise UnsupportedModel(f"'{folder}' has no {TOKENIZER}", _ADD_TO_IT)
    _add_tokens(folder, tokenizer, config)
    _frame(tokenizer, config, begins=source != (folder / VOCABULARY,))
    return tokenizer


def _of_pieces(folder: Path) -> Tokenizer:
    model = read_sentencepiece(folder / PIECES)
    tokenizer = model.build()
    add_marked_tokens(tokenizer, model.vocabulary)
    return tokenizer


def _of_merges(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    kind = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    if kind not in _SPLITS:
        raise UnsupportedModel(
            f"'{folder}' has no {TOKENIZER}, and {VOCABULARY} does not say how"
            f" {quoted(kind) if kind else 'a tokenizer without a class'} splits text",
            _ADD_TO_IT,
        )
    ids = _object(folder / VOCABULARY)
    if not ids or not all(type(number) is int and number >= 0 for number in ids.values()):
        raise misstated(folder / VOCABULARY, "it is no vocabulary", _ADD_TO_IT)
    return build_split_bpe(PRE_TOKENIZERS[_SPLITS[kind]], ids, list(_merges(folder, ids)))


def _merges(folder: Path, ids: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    path = folder / MERGES
    lines = read_text(path, _MOST_MERGES).split("\n")
    for number, line in enumerate(lines):
        if not line.strip() or (number == 0 and line.startswith("#version")):
            continue
        left, _, right = line.strip().partition(" ")
        if any(part not in ids for part in (left, right, left + right)):
            what = f"{VOCABULARY} lacks the parts of its merge {quoted(line)}"
            raise misstated(path, what, _ADD_TO_IT)
        yield left, right


def _add_tokens(folder: Path, tokenizer: Tokenizer, config: Mapping[str, Any]) -> None:
    """Tokens beyond the model's own, in the order of their ids; each has to get the stated one."""
    from tokenizers import AddedToken

    path = folder / (TOKENIZER_CONFIG if config.get("added_tokens_decoder") else ADDED)
    stated = _stated_tokens(path, config)
    for number, token in sorted(stated.items()):
        made = AddedToken(**token)
        (tokenizer.add_special_tokens if token["special"] else tokenizer.add_tokens)([made])
        given = tokenizer.token_to_id(token["content"])
        if given != number:
            what = f"its added token {quoted(token['content'])} is {given}, not {number}"
            raise misstated(path, what, _ADD_TO_IT)
    named = [config.get(name) for name in _NAMES]
    texts = [token.get("content") if isinstance(token, dict) else token for token in named]
    added = {token["content"] for token in stated.values()}
    tokenizer.add_special_tokens(
        [
            AddedToken(text, normalized=False)
            for text in texts
            if _is_known(tokenizer, text) and text not in added
        ]
    )


def _is_known(tokenizer: Tokenizer, text: Any) -> bool:
    return isinstance(text, str) and tokenizer.token_to_id(text) is not None


def _stated_tokens(path: Path, config: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Id → AddedToken's arguments, of ``path``: tokenizer_config.json or else added_tokens.json."""
    entries = config.get("added_tokens_decoder") or {
        number: token for token, number in _object(path).items()
    }
    special = config.get("additional_special_tokens") or []
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    try:
        return {
            int(number): {"content": token, "normalized": False, "special": token in special}
            if isinstance(token, str)
            else {"content": str(token["content"])} | {key: bool(token.get(key)) for key in flags}
            for number, token in entries.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise misstated(path, "its added tokens have no ids", _ADD_TO_IT) from error


def _frame(tokenizer: Tokenizer, config: Mapping[str, Any], *, begins: bool) -> None:
    """Put the bos token before a text and the eos token after it, where that is wanted."""
    begins = bool(config.get("add_bos_token", begins))
    before = _framing(tokenizer, config, "bos_token", wanted=begins)
    after = _framing(tokenizer, config, "eos_token", wanted=bool(config.get("add_eos_token")))
    frame(tokenizer, before, after)


def _framing(
    tokenizer: Tokenizer, config: Mapping[str, Any], name: str, *, wanted: bool
) -> list[str]:
    token = config.get(name)
    text = token.get("content") if isinstance(token, dict) else token
    return [str(text)] if wanted and _is_known(tokenizer, text) else []


def _object(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
