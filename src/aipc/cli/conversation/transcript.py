"""A conversation: its turns, in the form that the model gets and as it is saved and loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aipc.errors import AipcError, UsageError

FORMATS = (".json", ".md")
ROLES = ("user", "assistant")


@dataclass(frozen=True)
class Turn:
    role: str
    """ "user" or "assistant"."""
    content: str
    stopped: bool = False
    """The user stopped this answer; what was written before is kept."""


@dataclass
class Conversation:
    system: str | None = None
    turns: list[Turn] = field(default_factory=list)

    def messages(self) -> list[dict[str, str]]:
        """In the form that chat templates take."""
        first = [{"role": "system", "content": self.system}] if self.system else []
        return first + [{"role": turn.role, "content": turn.content} for turn in self.turns]

    def ask(self, text: str) -> None:
        self.turns.append(Turn("user", text))

    def answer(self, text: str, *, stopped: bool = False) -> None:
        self.turns.append(Turn("assistant", text, stopped))

    def withdraw(self) -> None:
        """Take the last question back: it got no answer, and roles have to alternate."""
        self.turns.pop()

    def undo(self) -> str:
        """Take the last question and its answer back; the question.

        Raises:
            UsageError: there is none.
        """
        if not self.turns:
            raise UsageError("nothing was asked yet", "ask a question first")
        while (turn := self.turns.pop()).role != "user":
            pass
        return turn.content

    def reset(self) -> None:
        """Forget every turn; the system message stays."""
        self.turns.clear()

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write JSON or Markdown, by the name's ending; never over an existing file.

        Raises:
            UsageError: another ending, or the file exists.
            AipcError: the file can't be written.
        """
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"can't tell the format of '{path}'", "end it in .json or .md")
        text = self.as_json(facts) if path.suffix.lower() == ".json" else self.as_markdown(facts)
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except FileExistsError as error:
            raise UsageError(f"'{path}' exists", "choose another name") from error
        except OSError as error:
            fix = "choose another place"
            raise AipcError(f"can't write '{path}' ({error.strerror})", fix) from error

    def load(self, path: Path) -> None:
        """Take the system message and the turns of a file that `save` wrote as JSON.

        Raises:
            UsageError: the file can't be read, or holds no conversation; nothing is changed then.
        """
        system, turns = _read(path)
        self.system, self.turns[:] = system, turns

    def as_json(self, facts: Mapping[str, Any]) -> str:
        messages = [
            {"role": turn.role, "content": turn.content}
            | ({"stopped": True} if turn.stopped else {})
            for turn in self.turns
        ]
        whole = {**facts, "system": self.system, "messages": messages}
        return json.dumps(whole, ensure_ascii=False, indent=2, default=str) + "\n"

    def as_markdown(self, facts: Mapping[str, Any]) -> str:
        names = {"user": "You", "assistant": str(facts.get("model", "Assistant"))}
        parts = [f"# Conversation with {names['assistant']}"]
        if self.system:
            parts.append(f"*System message:* {self.system}")
        for turn in self.turns:
            mark = " (stopped)" if turn.stopped else ""
            parts += [f"## {names[turn.role]}{mark}", turn.content.strip()]
        return "\n\n".join(parts) + "\n"


def _read(path: Path) -> tuple[str | None, list[Turn]]:
    try:
        whole = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"can't read '{path}' ({error.strerror})", "name a file that /save wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"'{path}' is no JSON", "name a file that /save wrote") from error
    try:
        system = whole["system"]
        turns = [
            Turn(one["role"], one["content"], one.get("stopped") is True)
            for one in whole["messages"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise _no_conversation(path) from error
    # roles that do not alternate, or a question without its answer, are refused by templates
    roles = [turn.role for turn in turns]
    if roles != [ROLES[at % 2] for at in range(len(turns))] or len(turns) % 2:
        raise _no_conversation(path)
    if not all(isinstance(text, str) for text in (system or "", *(t.content for t in turns))):
        raise _no_conversation(path)
    return system or None, turns


def _no_conversation(path: Path) -> UsageError:
    return UsageError(f"'{path}' holds no conversation", "name a file that /save wrote")
