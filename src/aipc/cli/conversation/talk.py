"""A chat under way: messages in, answers out, until the user leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aipc.cli.answering.answer import AnswerDisplay, show, warn_if_cut
from aipc.cli.answering.loop import warn_if_looped
from aipc.cli.conversation.attachments import Attachments
from aipc.cli.conversation.commands import ChatCommands
from aipc.cli.conversation.settings import SamplingSettings
from aipc.cli.conversation.sources import SessionSource
from aipc.cli.conversation.transcript import Conversation
from aipc.cli.screen.output import notice, report_failure
from aipc.errors import AipcError, PromptTooLong

OpenSource = Callable[[str | None], SessionSource]
"""Opens a session with the model of that name; None is the one that the command line names."""


class Talk:
    """A failed answer does not end it.  A context manager, which closes its session.

    ``options`` are arguments of `Session.stream`; those of sampling are changed by ``/set``.
    """

    def __init__(
        self,
        open_source: OpenSource,
        conversation: Conversation,
        options: dict[str, Any],
        *,
        debug: bool,
        make_display: Callable[[], AnswerDisplay],
        hides_thinking: bool = False,
        leaves_by_word: bool = False,
    ) -> None:
        self.failures = 0
        self._hides_thinking = hides_thinking
        self._debug = debug
        self._make_display = make_display
        self._open = open_source
        self._model: str | None = None
        self._source = open_source(None)
        self._conversation = conversation
        self._options = options
        self._attachments = Attachments()
        self._commands = ChatCommands(
            conversation,
            SamplingSettings(options),
            self._attachments,
            self,
            leaves_by_word=leaves_by_word,
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._source.facts

    @property
    def has_failed(self) -> bool:
        """Whether there will be no answers: the model can't be loaded."""
        return self._source.has_failed

    def hold(self, messages: Iterable[str]) -> None:
        """Until they end, or the user leaves.

        Raises:
            AipcError: why the model can't be loaded.
        """
        for message in messages:
            if not self.has_failed:
                self._take(message)
            if self._commands.wants_to_leave:
                return
            if self.has_failed:
                break
        if self.has_failed:
            self._source.session()

    def close(self) -> None:
        self._source.close()

    def change(self, name: str) -> None:
        """Go on with another model; where there is none such, with the one before.

        Raises:
            AipcError: why it can't be loaded.
        """
        from aipc.models import names

        names.check(name)  # a wrong name costs the model that is loaded nothing
        was, self._model = self._model, name
        self._source.close()
        try:
            self._source = self._open(name)
            self._source.session()
        except (AipcError, KeyboardInterrupt) as error:
            self._source.close()
            notice("[going back to the model before]")
            self._model = was
            self._source = self._open(was)
            if isinstance(error, AipcError):
                raise

    def answer_again(self) -> None:
        before = list(self._conversation.turns)
        question = self._conversation.undo()
        is_answered = False
        try:
            is_answered = self._answer(question)
        finally:
            if not is_answered:
                self._conversation.turns[:] = before

    def _take(self, message: str) -> None:
        try:
            if not self._commands.obey(message) and message.strip():
                question = self._attachments.joined(message.strip())
                if self._answer(question):
                    self._attachments.clear()
        except AipcError as error:
            if self._source.has_failed:
                raise
            self.failures += 1
            report_failure(self._advised(error), debug=self._debug)

    def _answer(self, question: str) -> bool:
        """Whether there is an answer, be it in part."""
        self._conversation.ask(question)
        shown: list[str] = []
        try:
            session = self._source.session()
            events = session.stream(self._conversation.messages(), **self._options)
            reply = show(events, shown, self._make_display(), hides_thinking=self._hides_thinking)
        except KeyboardInterrupt:
            return self._keep_stopped("".join(shown))
        except BaseException:
            self._conversation.withdraw()
            raise
        self._conversation.answer(reply.text)
        warn_if_cut(reply)
        warn_if_looped(reply, self._options, self._source.facts)
        return True

    def _keep_stopped(self, text: str) -> bool:
        """Keep a partial answer; a question without any answer is withdrawn."""
        if text:
            self._conversation.answer(text, stopped=True)
            notice("[stopped]")
        else:
            self._conversation.withdraw()
            notice("[stopped before the first word; the question is taken back]")
        return bool(text)

    def _advised(self, error: AipcError) -> AipcError:
        """With the fix that a chat has."""
        if not isinstance(error, PromptTooLong):
            return error
        fix = "/reset begins a new conversation"
        if self._attachments:
            fix += ", /file alone leaves the file out"
        advised = PromptTooLong(error.what, fix)
        advised.__cause__ = error
        return advised
