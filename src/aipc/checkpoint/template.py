"""The chat template of a checkpoint or artifact folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aipc.artifact.files import CHAT_TEMPLATE, TOKENIZER_CONFIG
from aipc.errors import UnsupportedModel, damaged, unreadable
from aipc.records import read_object

_LIMIT = 2**20


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
            return file.read(_LIMIT + 1).decode("utf-8")
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
    if len(template) > _LIMIT or any("\ud800" <= letter <= "\udfff" for letter in template):
        raise damaged(path, f"its chat template is no text of at most {_LIMIT} characters")
    return template
