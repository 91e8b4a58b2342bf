"""Kinds of work, by which devices and runtimes are compared: none is best for all."""

from __future__ import annotations

from dataclasses import dataclass

_LONG_TEXT = 8192
"""Characters, about 2,000 tokens of English."""


@dataclass(frozen=True)
class KindOfWork:
    """Tokens of all prompts and of all answers; ``starts``: the model is loaded for it."""

    name: str
    prompt: int
    tokens: int
    starts: bool


KINDS_OF_WORK = {
    work.name: work
    for work in (
        KindOfWork("run", 64, 128, starts=True),
        KindOfWork("chat", 1024, 1024, starts=True),
        KindOfWork("serve", 512, 256, starts=False),
        KindOfWork("document", 4096, 256, starts=True),
    )
}
"""A question, a conversation of some turns, a request to a server, a long text and a summary."""


def work_of(prompt: str) -> str:
    """The name of the work that one prompt is: a question or, from some pages on, a document."""
    return "document" if len(prompt) > _LONG_TEXT else "run"
