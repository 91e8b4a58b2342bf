"""``--schema``: an answer that is JSON of a given shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc.errors import GenerationError, UsageError

if TYPE_CHECKING:
    from aipc.generate import Reply

schema_flag = click.option(
    "--schema",
    metavar="FILE|JSON",
    help="Answer in JSON that fits this JSON schema; '{}' allows any JSON.",
)


def read_schema(told: str | None) -> dict[str, Any]:
    """What `Session.stream` is asked for: {"schema": …}, or nothing where none was given.

    Raises:
        UsageError: a file that can't be read, or no JSON object in it.
    """
    if told is None:
        return {}
    text = told if told.lstrip().startswith("{") else _content(told)
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--schema is no JSON: {error}", "write a JSON schema") from error
    return {"schema": schema}


def check_whole(reply: Reply) -> None:
    """Fail where the length cut an answer that had to fit a schema.

    Raises:
        GenerationError: it was cut.
    """
    if reply.finish_reason == "length":
        raise GenerationError(
            f"the JSON is cut after {reply.usage.completion_tokens} tokens",
            "raise --max-new-tokens, or bound the schema's texts and lists",
        )


def _content(name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"can't read the schema '{name}' ({reason})", "name a file, or write the JSON itself"
        ) from error
