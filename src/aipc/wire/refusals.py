"""What is wrong with a body, told by the client's own path in it: ``messages[1].content[0].type``.

Of a union, the branch is chosen by what tells the branches apart (the kind of JSON, or a member
such as "type"), so that an error is the one of the branch that was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Discriminator, ValidationError
from pydantic_core import ErrorDetails

from aipc.wire.errors import HTTPError

MARK = "="
"""Begins the name of a branch, as `pydantic.Tag` has it."""
_NO_BRANCH = "no_branch:"
"""Begins the type of an error, before the name of the member that tells the branches apart."""
_LONGEST = 40

_SHAPES: Mapping[type, str] = {str: "text", list: "list", dict: "object"}
_MEDIA = {
    "an image": ("image", "image_url", "input_image", "image_file", "computer_screenshot"),
    "sound": ("audio", "audio_url", "input_audio"),
    "a video": ("video", "video_url", "input_video"),
    "a file": ("file", "file_url", "input_file", "document"),
}
_UNREADABLE = {name: medium for medium, names in _MEDIA.items() for name in names}


def by_shape(*shapes: str) -> Discriminator:
    """Tells branches by the kind of JSON: "=text", "=list" or "=object"."""

    def pick(value: Any) -> str | None:
        shape = "object" if isinstance(value, BaseModel) else _SHAPES.get(type(value))
        return MARK + shape if shape in shapes else None

    return _discriminator(pick, "", [f"{'an' if one == 'object' else 'a'} {one}" for one in shapes])


def by_member(
    name: str, *values: str, pick: Callable[[Mapping[str, Any]], str | None] | None = None
) -> Discriminator:
    """Tells branches by a member's value; ``pick`` does where that takes more than looking.

    Both work for what is read, plain JSON, and for what is written, the objects made of it.
    """

    def tag(value: Any) -> str | None:
        members = vars(value) if isinstance(value, BaseModel) else value
        if not isinstance(members, dict) or not isinstance(members.get(name), str | None):
            return None
        branch = members.get(name) if pick is None else pick(members)
        return MARK + branch if branch is not None and (pick or branch in values) else None

    return _discriminator(tag, name, values)


def _discriminator(
    pick: Callable[[Any], str | None], member: str, known: Iterable[str]
) -> Discriminator:
    return Discriminator(
        pick,
        custom_error_type=_NO_BRANCH + member,
        custom_error_message=(", " if member else " or ").join(known),
    )


def refusal(error: ValidationError, body: Any) -> HTTPError:
    """The error of the member that lies deepest, the first of them."""
    details = error.errors(include_url=False)
    paths = [_path(one, body) for one in details]
    at = max(range(len(paths)), key=lambda index: len(paths[index]))
    path, said = _told(details[at], paths[at])
    where = written(path)
    message = f"{where or 'the body'}: {said}"
    return HTTPError(400, message, code="invalid_value", param=where or None)


def written(path: Sequence[str | int]) -> str:
    """A path as OpenAI writes it."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).removeprefix(".")


def _path(error: ErrorDetails, body: Any) -> list[str | int]:
    """Members and indexes that lead to the error; names of branches lead nowhere in the body."""
    path: list[str | int] = []
    *before, last = error["loc"] or ("",)
    for part in before:
        if _leads_on(part, body):
            path.append(part)
            body = body[part]
    if _leads_on(last, body) or error["type"] in {"missing", "extra_forbidden"}:
        path.append(last)
    return path


def _leads_on(part: str | int, value: Any) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and not str(part).startswith(MARK) and part in value


def _told(error: ErrorDetails, path: list[str | int]) -> tuple[list[str | int], str]:
    if error["type"] == "extra_forbidden":
        return path, "unknown field"
    if error["type"].startswith(_NO_BRANCH):
        member = error["type"].removeprefix(_NO_BRANCH)
        return _without_branch(error["input"], member, error["msg"], path)
    return path, f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _without_branch(
    value: Any, member: str, known: str, path: list[str | int]
) -> tuple[list[str | int], str]:
    if not member:
        return path, f"should be {known}"
    if not isinstance(value, dict):
        return path, f"should be an object, with one of these as its {member}: {known}"
    given = value.get(member)
    if given is None:
        said = f"field required; it may be: {known}"
    elif isinstance(given, str) and given in _UNREADABLE:
        said = f"'{given}' is {_UNREADABLE[given]}, and this model reads text only"
    else:
        said = f"{given!r:.{_LONGEST}} is not known here; it may be: {known}"
    return [*path, member], said
