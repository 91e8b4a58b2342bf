"""The text files of a checkpoint folder, as an artifact has them."""

from __future__ import annotations

import shutil
from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc import remedies
from aipc.artifact.config import without_absent_ids
from aipc.artifact.files import CONFIG, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG
from aipc.artifact.sentence_model import settings_files
from aipc.checkpoint.chat_templates import (
    DEFAULT,
    read_chat_templates,
    template_files,
    write_chat_templates,
)
from aipc.checkpoint.tokenizer_files import (
    ADDED,
    SPECIAL,
    build_tokenizer,
    read_tokenizer_config,
    source_files,
)
from aipc.errors import LFS_POINTER, UnsupportedModel, is_failure, misstated, pointer, unreadable
from aipc.records import finite, read_object, write_object

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_COPIED = (SPECIAL, ADDED)
_MOST_HOLES = 2**16
_READ = (CONFIG, GENERATION_CONFIG, TOKENIZER_CONFIG, *_COPIED)


class FolderTexts:
    """The text files of a checkpoint folder; references to the repository's code are left out."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Take the folder's files, but for its config.json, of which ``config`` was made."""
        self._folder = folder
        self._config = config
        own = (folder / name for name in _READ if (folder / name).is_file())
        self._settings = settings_files(folder)
        self.paths = (*own, *source_files(folder), *template_files(folder), *self._settings)

    def write(self, target: Path) -> None:
        """Write them to ``target``, an existing folder.

        Raises:
            CheckpointError: one can't be read.
            UnsupportedModel: there is no tokenizer.
            OSError: ``target`` can't be written.
        """
        folder = self._folder
        if (folder / TOKENIZER).is_file():
            _check_ids(folder, _read_tokenizer(folder / TOKENIZER), self._config)
            _copy(folder / TOKENIZER, target)
        else:
            built = build_tokenizer(folder)
            _check_ids(folder, built, self._config)
            (target / TOKENIZER).write_bytes(built.to_str().encode("utf-8"))
        _write(target / CONFIG, self._config, folder)
        tokenizer_config = read_tokenizer_config(folder)
        _write(target / TOKENIZER_CONFIG, tokenizer_config, folder)
        templates = read_chat_templates(folder)
        if templates != {DEFAULT: tokenizer_config.get("chat_template")}:
            write_chat_templates(templates, target)
        if (folder / GENERATION_CONFIG).is_file():
            stated = read_object(folder / GENERATION_CONFIG)
            _write(target / GENERATION_CONFIG, without_absent_ids(stated), folder)
        for name in _COPIED:
            if (folder / name).is_file():
                _copy(folder / name, target)
        for file in self._settings:
            beside = target / file.relative_to(folder).parent
            beside.mkdir(parents=True, exist_ok=True)
            _copy(file, beside)


def _read_tokenizer(path: Path) -> Tokenizer:
    """Refuse a tokenizer.json that no runtime could read, before anything is converted."""
    import tokenizers

    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise pointer(path)
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except BaseException as error:  # the binding raises nothing narrower
        if not is_failure(error):
            raise
        newer = remedies.put(["--upgrade", "tokenizers"])
        raise UnsupportedModel(
            f"the package tokenizers {tokenizers.__version__} can't read '{path}': {error}",
            f"fetch it again with 'aipc pull', or update the package: {newer}",
        ) from error


def _check_ids(folder: Path, tokenizer: Tokenizer, config: Mapping[str, Any]) -> None:
    """Refuse a vocabulary with wide holes: the vendors' tokenizers have a place for every id."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    highest = max(vocabulary.values(), default=0)
    rows: Any = config.get("vocab_size")
    known = max(len(vocabulary), rows if type(rows) is int else 0)
    if highest >= known + _MOST_HOLES:
        raise misstated(
            folder,
            f"a token has the id {highest:,}, and there are {known:,}",
            "take the tokenizer of the same model",
        )


def _write(target: Path, content: Mapping[str, Any], folder: Path) -> None:
    """Write a config without the names of the repository's own code, which is never run."""
    content = finite({key: content[key] for key in content if key != "auto_map"})
    own = folder / target.name
    if own.is_file() and read_object(own) == content and not _has_mark(own):
        _copy(own, target.parent)
    else:
        write_object(target, content)


def _has_mark(path: Path) -> bool:
    """Whether it begins with UTF-8's byte order mark, which not every reader takes."""
    with path.open("rb") as file:
        return file.read(len(BOM_UTF8)) == BOM_UTF8


def _copy(source: Path, target: Path) -> None:
    try:
        opened = source.open("rb")
    except OSError as error:
        raise unreadable(source, error) from error
    with opened, (target / source.name).open("wb") as written:
        shutil.copyfileobj(opened, written)
