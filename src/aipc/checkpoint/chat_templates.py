"""The chat templates of a folder, by name: "default", and "tool_use" where tools have their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.files import CHAT_TEMPLATE, TOKENIZER_CONFIG
from aipc.errors import UnsupportedModel, misstated
from aipc.records import read_object, read_text

DEFAULT = "default"
TOOL_USE = "tool_use"
"""What transformers renders where tools are given."""
ADDITIONAL = "additional_chat_templates"
"""The folder of the templates that are not the default, NAME.jinja, as transformers saves them."""
_OF_PROCESSOR = "chat_template.json"
"""Where the processors of multimodal models kept theirs before chat_template.jinja."""
_BESIDE = f"put the one to use beside it as {CHAT_TEMPLATE}"
_LONGEST = 2**20  # characters
_MOST = 4 * _LONGEST  # bytes of UTF-8
_NAME = re.compile(r"\w[\w.-]{0,99}", re.ASCII)


def read_chat_templates(folder: Path) -> Mapping[str, str]:
    """Jinja sources by name; empty where there are none, else "default" is among them.

    A file of its own goes before tokenizer_config.json's, as in transformers.

    Raises:
        CheckpointError: unreadable, no text, or larger than a mebibyte.
        UnsupportedModel: named templates, none of them "default".
    """
    files = {
        DEFAULT if path.parent == folder else path.stem: _checked(path, read_text(path, _MOST))
        for path in template_files(folder)
        if path.suffix == ".jinja"
    }
    templates = files if DEFAULT in files else {**_stated(folder), **files}
    if templates and DEFAULT not in templates:
        raise UnsupportedModel(
            f"'{folder}' has the chat templates {', '.join(templates)}, none called 'default'",
            _BESIDE,
        )
    return templates


def template_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold nothing but chat templates."""
    found = [folder / CHAT_TEMPLATE, *sorted((folder / ADDITIONAL).glob("*.jinja"))]
    fit = [path for path in found if path.is_file() and _NAME.fullmatch(path.stem)]
    if not fit and (folder / _OF_PROCESSOR).is_file():
        fit.append(folder / _OF_PROCESSOR)
    return tuple(fit)


def write_chat_templates(templates: Mapping[str, str], target: Path) -> None:
    """Write them as files of their own into the folder ``target``.

    Raises:
        OSError: it can't be written.
    """
    for name, source in templates.items():
        path = target / (CHAT_TEMPLATE if name == DEFAULT else f"{ADDITIONAL}/{name}.jinja")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.encode("utf-8"))


def _stated(folder: Path) -> dict[str, str]:
    """What tokenizer_config.json states, or else a processor's file."""
    for source in (folder / TOKENIZER_CONFIG, folder / _OF_PROCESSOR):
        stated = read_object(source).get("chat_template") if source.is_file() else None
        if isinstance(stated, list):
            return {name: _checked(source, text) for name, text in _named(source, stated)}
        if stated is not None:
            return {DEFAULT: _checked(source, stated)}
    return {}


def _named(path: Path, entries: list[Any]) -> list[tuple[str, Any]]:
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        raise misstated(path, "its chat templates have no names", _BESIDE)
    return [(str(entry["name"]), entry.get("template")) for entry in entries]


def _checked(path: Path, template: Any) -> str:
    if not isinstance(template, str):
        raise misstated(path, "its chat template is no text", _BESIDE)
    # a lone surrogate, which JSON can escape, is no character
    if len(template) > _LONGEST or any("\ud800" <= letter <= "\udfff" for letter in template):
        what = f"its chat template is no text of at most {_LONGEST} characters"
        raise misstated(path, what, _BESIDE)
    return template
