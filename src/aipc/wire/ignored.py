"""Members of a body that were taken and have no effect: a header names them.

What would change the answer and can't be honored is refused; notes, ids and what a client replays
of the history are not, because clients add some with every version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

from aipc.wire.refusals import written

HEADER = "x-aipc-ignored"
MAX_CHARACTERS = 512
_LONGEST_NAME = 64
_NOT_SHOWN = re.compile(r"[^!#-+\--Z^-~]")

Path = tuple[str | int, ...]


def ignored_members(body: Any, read: Any, path: Path = ()) -> Iterator[str]:
    """Paths in ``body``, plain JSON, of what ``read``, the object made of it, has no use for.

    A class whose attribute ``IS_IGNORED`` is true is such as a whole.  A null is nothing.
    """
    if isinstance(read, BaseModel) and isinstance(body, dict):
        if getattr(read, "IS_IGNORED", False):
            yield written(path)
            return
        names = _names(type(read))
        for member, value in body.items():
            if member not in names:
                if value is not None:
                    yield written((*path, _NOT_SHOWN.sub("?", member)[:_LONGEST_NAME] or "?"))
            elif isinstance(value, dict | list):
                yield from ignored_members(value, getattr(read, names[member]), (*path, member))
    elif isinstance(read, list) and isinstance(body, list):
        for index, pair in enumerate(zip(body, read, strict=True)):
            yield from ignored_members(*pair, (*path, index))


@cache
def _names(kind: type[BaseModel]) -> Mapping[str, str]:
    """Members of a class as they are written, to its own names."""
    return {field.alias or name: name for name, field in kind.model_fields.items()}


def header_value(paths: Sequence[str]) -> str:
    """Printable ASCII, of at most `MAX_CHARACTERS`: "messages[1].foo, user, and 3 more"."""
    shown: list[str] = []
    for at, path in enumerate(paths):
        if len(", ".join([*shown, path])) > MAX_CHARACTERS - 20:
            return ", ".join([*shown, f"and {len(paths) - at} more"])
        shown.append(path)
    return ", ".join(shown)
