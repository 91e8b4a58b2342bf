"""A checkpoint folder: which of its files hold the weights, its text files, its chat template."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from aipc.artifact.files import (
    CHAT_TEMPLATE,
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
)
from aipc.checkpoint.safetensors import INDEX, SafetensorsFile, Shards
from aipc.checkpoint.tensors import TensorFile
from aipc.errors import CheckpointError, UnsafeModel, UnsupportedModel, damaged, unreadable
from aipc.records import read_object, write_object

SINGLE = "model.safetensors"
_LONGEST = 2**20  # characters of a chat template
TEXT_FILES = (
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    CHAT_TEMPLATE,
)
_MAY_NAME_CODE = frozenset({CONFIG, TOKENIZER_CONFIG})
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def find_gguf(folder: Path) -> Path | None:
    """The GGUF file of a folder without safetensors; None where there is none.

    Raises:
        CheckpointError: several GGUF files, so that one has to be named.
    """
    if (folder / SINGLE).is_file() or (folder / INDEX).is_file():
        return None
    found = _matching(folder, "*.gguf")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise CheckpointError(f"'{folder}' holds {len(found)} GGUF files", f"name one of {names}")
    return found[0] if found else None


def open_weights(folder: Path) -> TensorFile:
    """Open ``model.safetensors``, or else the shards that the index names.

    Raises:
        CheckpointError: no weights, or damaged ones.
        UnsafeModel: the only weights are pickles.
        UnsupportedModel: a tensor of an unknown type.
    """
    if (folder / SINGLE).is_file():
        return SafetensorsFile(folder / SINGLE)
    if (folder / INDEX).is_file():
        return Shards(folder / INDEX)
    pickles = [path for pattern in _PICKLES for path in _matching(folder, pattern)]
    if pickles:
        raise UnsafeModel(
            f"the weights in '{folder}' are a pickle ({pickles[0].name}), which can run code",
            "take a revision with safetensors files",
        )
    raise CheckpointError(
        f"'{folder}' has neither {SINGLE}, {INDEX} nor a .gguf file",
        "name a checkpoint folder, or fetch a model with 'aipc pull'",
    )


class FolderTexts:
    """The text files of a checkpoint folder; references to the repository's code are left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.paths = tuple(folder / name for name in TEXT_FILES if (folder / name).is_file())

    def write(self, target: Path) -> None:
        """Copy them to ``target``, an existing folder.

        Raises:
            CheckpointError: one can't be read.
            UnsupportedModel: there is no tokenizer.json.
            OSError: ``target`` can't be written.
        """
        if not (self._folder / TOKENIZER).is_file():
            raise UnsupportedModel(
                f"'{self._folder}' has no tokenizer.json",
                "take a revision that has one, or write it with the transformers package:"
                " AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
            )
        for path in self.paths:
            _copy(path, target / path.name)


def _copy(source: Path, target: Path) -> None:
    content = read_object(source) if source.name in _MAY_NAME_CODE else {}
    if "auto_map" in content:
        # it names the repository's own Python code, which is never run
        write_object(target, {key: content[key] for key in content if key != "auto_map"})
        return
    try:
        opened = source.open("rb")
    except OSError as error:
        raise unreadable(source, error) from error
    with opened, target.open("wb") as written:
        shutil.copyfileobj(opened, written)


def _matching(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def read_chat_template(folder: Path) -> str | None:
    """The Jinja source: ``chat_template.jinja``, else tokenizer_config.json's; None without one.

    Of several named templates the one called "default" is taken, as transformers does.

    Raises:
        CheckpointError: unreadable, no text, or larger than a mebibyte.
        UnsupportedModel: several named templates, none of them "default".
    """
    source = folder / CHAT_TEMPLATE
    if source.is_file():
        return _checked(source, _read_text(source))
    source = folder / TOKENIZER_CONFIG
    stated = read_object(source).get("chat_template") if source.is_file() else None
    if stated is None:
        return None
    return _checked(source, _default(source, stated) if isinstance(stated, list) else stated)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST + 1).decode("utf-8")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise damaged(path, "not UTF-8") from error


def _default(path: Path, named: list[Any]) -> Any:
    if not all(isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in named):
        raise damaged(path, "its chat templates have no names")
    templates = {entry["name"]: entry.get("template") for entry in named}
    if "default" not in templates:
        names = ", ".join(templates)
        raise UnsupportedModel(
            f"'{path}' has the chat templates {names}, none called 'default'",
            "put the one to use beside it as chat_template.jinja",
        )
    return templates["default"]


def _checked(path: Path, template: Any) -> str:
    if not isinstance(template, str):
        raise damaged(path, "its chat template is no text")
    # a lone surrogate, which JSON can escape, is no character
    if len(template) > _LONGEST or any("\ud800" <= letter <= "\udfff" for letter in template):
        raise damaged(path, f"its chat template is no text of at most {_LONGEST} characters")
    return template
