"""The commands of a chat: lines that begin with a slash."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from aipc.cli.conversation.attachments import Attachments
from aipc.cli.conversation.settings import SamplingSettings
from aipc.cli.conversation.transcript import Conversation
from aipc.cli.screen.output import notice, notice_folded
from aipc.errors import UsageError
from aipc.units import count

HELP = """\
/regenerate    answer the last question anew
/undo          take the last question and its answer back
/reset         forget the conversation
/system TEXT   set the system message; without TEXT, remove it
/model NAME    go on with another model; without NAME, say which answers
/set NAME X    set a sampling option ("default": as the model has it); without, show them all
/file PATH     send a text file with the next message; without PATH, none
/save FILE     write the conversation to FILE (.json or .md)
/load FILE     take up a conversation that was saved as .json
/help, /?      show this
/exit, /bye    leave; so do "exit", Ctrl-D, and Ctrl-C on an empty line
Several lines: paste them; a line that ends in \\ goes on, and \"\"\" begins and ends a text.
A message that begins with a slash: put a space before it."""

NAMES = (
    "/regenerate",
    "/undo",
    "/reset",
    "/system",
    "/model",
    "/set",
    "/file",
    "/save",
    "/load",
    "/help",
    "/exit",
)
_ALIASES = {"/?": "/help", "/bye": "/exit", "/quit": "/exit", "/clear": "/reset"}
_LEAVING = {"exit", "quit", "bye"}


class CommandedSession(Protocol):
    """What commands ask of the chat's session, and of the chat."""

    @property
    def facts(self) -> Any:
        """The session's, as far as they are known."""

    def change(self, name: str) -> None:
        """Answer with the model of that name from now on."""

    def answer_again(self) -> None:
        """Answer the last question anew.

        Raises:
            UsageError: there is none.
        """


class ChatCommands:
    """The commands of one chat; they change its conversation and write to stderr.

    ``leaves_by_word``: "exit" alone leaves, as people type it; a file of prompts may hold it.
    """

    def __init__(
        self,
        conversation: Conversation,
        settings: SamplingSettings,
        attachments: Attachments,
        session: CommandedSession,
        *,
        leaves_by_word: bool = False,
    ) -> None:
        self.wants_to_leave = False
        self._conversation = conversation
        self._settings = settings
        self._attachments = attachments
        self._session = session
        self._words = _LEAVING if leaves_by_word else set()
        self._commands: dict[str, Callable[[str], None]] = {
            name: getattr(self, f"_{name[1:]}") for name in NAMES
        }

    def obey(self, line: str) -> bool:
        """Carry out a line that is a command; False where it is a message.

        Raises:
            UsageError: no such command, or wrong arguments.
            AipcError: what the command does fails.
        """
        if line.strip() in self._words:
            self._exit("")
            return True
        if not line.startswith("/"):
            return False
        name, _, rest = line.partition(" ")
        name = _ALIASES.get(name.lower(), name.lower())
        if name not in self._commands:
            if "\n" in line:  # a text that was pasted
                return False
            near = difflib.get_close_matches(name, self._commands, n=1)
            fix = f"did you mean {near[0]}?" if near else "/help shows the commands"
            raise UsageError(f"unknown command '{name}'", fix)
        self._commands[name](rest.strip())
        return True

    def _regenerate(self, _: str) -> None:
        if self._settings.is_greedy(self._session.facts):
            notice(
                "[the likeliest tokens may make the same answer; /set temperature 0.7 varies it]"
            )
        self._session.answer_again()

    def _undo(self, _: str) -> None:
        question = " ".join(self._conversation.undo().split())
        notice_folded(f"[taken back: {question[:60]}{'…' if len(question) > 60 else ''}]")

    def _reset(self, _: str) -> None:
        self._conversation.reset()
        self._attachments.clear()
        notice("[a new conversation]")

    def _system(self, text: str) -> None:
        self._conversation.system = text or None
        notice("[system message set]" if text else "[no system message]")

    def _model(self, name: str) -> None:
        if name:
            self._session.change(name)
            return
        facts = self._session.facts
        device = f"{facts.get('device', '?')} ({facts.get('runtime', '?')})"
        notice(f"{facts.get('model', 'the model')} on {device}")

    def _set(self, argument: str) -> None:
        if argument:
            notice(f"[{self._settings.set(argument)}]")
            return
        for line in self._settings.lines(self._session.facts):
            notice_folded(line)

    def _file(self, name: str) -> None:
        if not name:
            self._attachments.clear()
            notice("[no file goes with the next message]")
            return
        notice(f"[{self._attachments.add(_path(name))}: goes with the next message]")

    def _save(self, name: str) -> None:
        if not name:
            raise UsageError("/save needs a file name", "/save talk.md")
        path = _path(name)
        self._conversation.save(path, self._session.facts)
        notice(f"[saved to {path}]")

    def _load(self, name: str) -> None:
        if not name:
            raise UsageError("/load needs a file name", "/load talk.json")
        path = _path(name)
        self._conversation.load(path)
        questions = len(self._conversation.turns) // 2
        theirs = "its answer" if questions == 1 else "their answers"
        notice(f"[{count(questions, 'question')} and {theirs} from {path}]")

    def _help(self, _: str) -> None:
        notice(HELP)

    def _exit(self, _: str) -> None:
        self.wants_to_leave = True


def _path(name: str) -> Path:
    """As it was typed, or dropped onto the terminal, which may quote it."""
    is_quoted = len(name) > 1 and name[0] == name[-1] and name[0] in "'\""
    return Path(name[1:-1] if is_quoted else name).expanduser()
