"""``aipc chat``: a conversation in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from aipc.cli import failure
from aipc.cli.answer import show, warn_if_cut
from aipc.cli.command_group import Invocation
from aipc.cli.conversation import ChatCommands, Conversation
from aipc.cli.line_input import LineInput
from aipc.cli.loading import LoadedSession, Loading, Source
from aipc.cli.output import notice
from aipc.cli.server_flags import find_server, server_flags
from aipc.cli.session_flags import open_session, sampling_of, session_flags
from aipc.cli.stdin import check_text
from aipc.errors import AipcError, PromptTooLong


@click.command()
@session_flags
@server_flags
@click.option("--system", metavar="TEXT", help="Instructions that come before the conversation.")
def chat(system: str | None, **flags: Any) -> None:
    """Hold a conversation: the model is told all that was said so far.

    /help shows the commands. Ctrl-C stops an answer, Ctrl-D leaves. Lines on stdin that is no
    terminal are answered one by one.
    """
    sampling = sampling_of(flags)
    conversation = Conversation(check_text(system) if system else None)
    lines = LineInput()
    debug = click.get_current_context().ensure_object(Invocation).debug
    remote = find_server(flags, notice)
    if lines.is_terminal and remote is None:
        with Loading(flags) as loading:
            notice(_greeting(loading.facts, "loading"))
            Talk(loading, conversation, sampling, debug=debug).hold(lines)
        return
    with remote or open_session(flags) as session:
        if lines.is_terminal:
            notice(_greeting(session.facts, f"at {session.facts['server']}"))
        talk = Talk(LoadedSession(session), conversation, sampling, debug=debug)
        talk.hold(lines)
    if talk.failures and not lines.is_terminal:
        raise click.exceptions.Exit(1)


class Talk:
    """Messages in, answers out, for as long as the user likes; a failure does not end it."""

    def __init__(
        self,
        source: Source,
        conversation: Conversation,
        sampling: dict[str, Any],
        *,
        debug: bool,
    ) -> None:
        self.failures = 0
        self._debug = debug
        self._source = source
        self._conversation = conversation
        self._sampling = sampling
        self._commands = ChatCommands(conversation, lambda: source.facts)

    def hold(self, lines: LineInput) -> None:
        for line in lines.messages():
            if not self._source.has_failed:
                self._take(line)
            if self._commands.wants_to_leave or self._source.has_failed:
                return

    def _take(self, line: str) -> None:
        try:
            if not self._commands.obey(line) and line.strip():
                self._answer(line.strip())
        except AipcError as error:
            if self._source.has_failed:
                raise
            self.failures += 1
            failure.report(_advised(error), debug=self._debug)

    def _answer(self, question: str) -> None:
        session = self._source.session()
        self._conversation.ask(question)
        shown: list[str] = []
        try:
            messages = self._conversation.messages()
            reply = show(session.stream(messages, **self._sampling), shown)
        except KeyboardInterrupt:
            self._keep_stopped("".join(shown))
        except BaseException:
            self._conversation.withdraw()
            raise
        else:
            self._conversation.answer(reply.text)
            warn_if_cut(reply)

    def _keep_stopped(self, text: str) -> None:
        """What was said stays said; a question without any answer is taken back."""
        if text:
            self._conversation.answer(text, stopped=True)
            notice("[stopped]")
        else:
            self._conversation.withdraw()
            notice("[stopped before the first word; the question is taken back]")


def _advised(error: AipcError) -> AipcError:
    """With what to do about it inside a chat."""
    if not isinstance(error, PromptTooLong):
        return error
    advised = PromptTooLong(error.what, "/reset begins a new conversation")
    advised.__cause__ = error
    return advised


def _greeting(facts: Mapping[str, Any], state: str) -> str:
    place = f"{facts.get('device', '?')} ({facts.get('runtime', '?')})"
    return f"{facts.get('model', 'The model')} on {place}, {state}. /help shows the commands."
