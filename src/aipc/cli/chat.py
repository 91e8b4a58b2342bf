"""``aipc chat``: a conversation in the terminal.

The session is loaded and warmed up while the user types the first question.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.answering.answer import AnswerDisplay, PlainAnswer
from aipc.cli.answering.loop import loop_flag, loop_options
from aipc.cli.answering.server_session import ServedSession, find_server, server_flags
from aipc.cli.answering.stdin import check_text, is_terminal, is_typed_at, plain_messages
from aipc.cli.answering.thinking import thinking_flags, thinking_options
from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.command_group import Invocation
from aipc.cli.arguments.model_parameter import adapter_flag, model_parameter
from aipc.cli.arguments.session_flags import sampling_of, session_flags
from aipc.cli.conversation.sources import LoadedSession, LoadingSession, SessionSource
from aipc.cli.conversation.talk import Talk
from aipc.cli.conversation.transcript import Conversation
from aipc.cli.screen.output import notice, notice_folded
from aipc.cli.screen.waiting import can_repaint

if TYPE_CHECKING:
    from aipc.cli.conversation.keyboard import Keyboard


@click.command(cls=SectionedCommand)
@model_parameter()
@adapter_flag
@session_flags
@loop_flag
@thinking_flags
@server_flags
@click.option("--system", metavar="TEXT", help="Instructions that come before the conversation.")
@click.option(
    "--markdown/--no-markdown",
    default=True,
    help="On a terminal, render Markdown, or show it as it is written.",
)
@click.option(
    "--history/--no-history",
    default=True,
    help="Keep what you type for the next chat, in a file that only you can read, or don't.",
)
def chat(
    system: str | None, stops_loops: bool, markdown: bool, history: bool, **flags: Any
) -> None:
    """Hold a conversation: the model gets all messages so far.

    /help shows the commands. Ctrl-C stops an answer, Ctrl-D leaves. Lines on stdin that is no
    terminal are answered one by one.
    """
    options = {**sampling_of(flags), **loop_options(stops_loops), **thinking_options(flags)}
    conversation = Conversation(check_text(system) if system else None)
    keyboard = _keyboard(is_kept=history)

    def open_source(name: str | None) -> SessionSource:
        return _open(flags if name is None else {**flags, "model": name}, keyboard)

    with ExitStack() as held:
        if keyboard is not None:
            held.enter_context(keyboard.held())
        talk = Talk(
            open_source,
            conversation,
            options,
            debug=click.get_current_context().ensure_object(Invocation).debug,
            make_display=_display(has_markdown=markdown),
            hides_thinking=flags["hide_thinking"],
            leaves_by_word=keyboard is not None,
        )
        held.enter_context(closing(talk))
        if keyboard is not None:
            keyboard.is_over = lambda: talk.has_failed
        talk.hold(keyboard.messages() if keyboard else plain_messages())
    if talk.failures and keyboard is None:
        raise click.exceptions.Exit(1)


def _keyboard(*, is_kept: bool) -> Keyboard | None:
    """None where nobody types; prompt_toolkit is loaded where somebody does."""
    if not is_typed_at():
        return None
    from aipc.cli.conversation.history import open_history
    from aipc.cli.conversation.keyboard import Keyboard
    from aipc.models.store import Store

    return Keyboard(open_history(Store().home, is_kept=is_kept))


def _open(flags: Mapping[str, Any], keyboard: Keyboard | None) -> SessionSource:
    remote = find_server(flags, notice)
    if remote is not None:
        source = ServedSession(remote, flags, notice)
        if is_terminal():
            notice_folded(_greeting(source.facts, f"at {source.facts['server']}"))
        return source
    if keyboard is None:
        loaded = LoadedSession(flags)
        if is_terminal():
            notice_folded(_greeting(loaded.facts, "ready"))
        return loaded
    loading = LoadingSession(flags, keyboard)
    notice_folded(_greeting(loading.facts, "loading"))
    return loading


def _display(*, has_markdown: bool) -> Callable[[], AnswerDisplay]:
    if sys.stdout is None or not sys.stdout.isatty():
        return PlainAnswer
    from aipc.cli.conversation.markdown import MarkdownAnswer, WrappedAnswer

    return MarkdownAnswer if has_markdown and can_repaint(sys.stdout) else WrappedAnswer


def _greeting(facts: Mapping[str, Any], state: str) -> str:
    device = f"{facts.get('device', '?')} ({facts.get('runtime', '?')})"
    return f"{facts.get('model', 'The model')} on {device}, {state}. /help shows the commands."
