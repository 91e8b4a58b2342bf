"""What can be typed in a chat beside messages: words that begin with a slash."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aipc.cli.conversation import Conversation
from aipc.cli.output import notice
from aipc.errors import UsageError

HELP = """\
/reset         forget the conversation
/system TEXT   set the system message; without TEXT, remove it
/save FILE     write the conversation to FILE (.json or .md)
/help          show this
/exit          leave; so do Ctrl-D, and Ctrl-C on an empty line
A line that ends in \\ goes on in the next; \"\"\" begins and ends a text of several lines.
A message that begins with a slash: put a space before it."""


class ChatCommands:
    """The commands of one chat; they change its conversation and talk on stderr."""

    def __init__(self, conversation: Conversation, facts: Callable[[], Mapping[str, Any]]) -> None:
        self.wants_to_leave = False
        self._conversation = conversation
        self._facts = facts
        self._commands: dict[str, Callable[[str], None]] = {
            "/reset": self._reset,
            "/system": self._system,
            "/save": self._save,
            "/help": self._help,
            "/exit": self._exit,
        }

    def obey(self, line: str) -> bool:
        """Carry out a line that is a command; False where it is a message.

        Raises:
            UsageError: no such command, or not so.
        """
        if not line.startswith("/"):
            return False
        name, _, rest = line.partition(" ")
        if name not in self._commands:
            raise self._unknown(name)
        self._commands[name](rest.strip())
        return True

    def _unknown(self, name: str) -> UsageError:
        near = difflib.get_close_matches(name, self._commands, n=1)
        fix = f"did you mean {near[0]}?" if near else "/help shows the commands"
        return UsageError(f"unknown command '{name}'", fix)

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

    def _help(self, _: str) -> None:
        notice(HELP)

    def _exit(self, _: str) -> None:
        self.wants_to_leave = True
