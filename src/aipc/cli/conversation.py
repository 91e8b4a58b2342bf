"""A conversation: its turns, in the form that the model gets and as it is saved."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aipc.cli.output import notice
from aipc.errors import AipcError, UsageError

FORMATS = (".json", ".md")

HELP = """\
/reset         forget the conversation
/system TEXT   set the system message; without TEXT, remove it
/save FILE     write the conversation to FILE (.json or .md)
/help          show this
/exit          leave; so do Ctrl-D, and Ctrl-C on an empty line
A line that ends in \\ goes on in the next; \"\"\" begins and ends a text of several lines.
A message that begins with a slash: put a space before it."""


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
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise UsageError(f"'{path}' exists", "choose another name") from error
        except OSError as error:
            fix = "choose another place"
            raise AipcError(f"can't write '{path}' ({error.strerror})", fix) from error

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


class ChatCommands:
    """The commands of one chat; they change its conversation and write to stderr."""

    def __init__(self, conversation: Conversation, facts: Callable[[], Mapping[str, Any]]) -> None:
        self.wants_to_leave = False
        self._conversation = conversation
        self._facts = facts
        self._commands: dict[str, Callable[[str], None]] = {
            "/reset": self._reset,
            "/system": self._system,
            "/save": self._save,
            "/help": lambda _: notice(HELP),
            "/exit": self._exit,
        }

    def obey(self, line: str) -> bool:
        """Carry out a line that is a command; False where it is a message.

        Raises:
            UsageError: no such command, or wrong arguments.
        """
        if not line.startswith("/"):
            return False
        name, _, rest = line.partition(" ")
        if name not in self._commands:
            near = difflib.get_close_matches(name, self._commands, n=1)
            fix = f"did you mean {near[0]}?" if near else "/help shows the commands"
            raise UsageError(f"unknown command '{name}'", fix)
        self._commands[name](rest.strip())
        return True

    def _reset(self, _: str) -> None:
        self._conversation.reset()
        notice("[a new conversation]")

    def _system(self, text: str) -> None:
        self._conversation.system = text or None
        notice("[system message set]" if text else "[no system message]")

    def _save(self, name: str) -> None:
        if not name:
            raise UsageError("/save needs a file name", "/save talk.md")
        path = Path(name).expanduser()
        self._conversation.save(path, self._facts())
        notice(f"[saved to {path}]")

    def _exit(self, _: str) -> None:
        self.wants_to_leave = True
