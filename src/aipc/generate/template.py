"""A model's chat template: a conversation in, the prompt's text out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from aipc.errors import GenerationError
from aipc.generate.conversation import THINKING_KEYS, Message, alternating, plain
from aipc.generate.sandbox.process import TEMPLATES, TemplateFailed, TemplateRefused
from aipc.generate.structured.tool_format import ToolFormat, format_of
from aipc.generate.thinking.marks import ThinkingMarks, marks_of_template

MAX_SOURCE = 2**18
"""Characters; the longest templates of known models have about 30,000."""

NO_OPTIONS: Mapping[str, Any] = {}
_PROBE = "aipc-probe"


class ChatTemplate:
    """Renders as `apply_chat_template` of transformers does; may be used from several threads."""

    def __init__(
        self, source: str, special_tokens: Mapping[str, str], tool_use: str | None = None
    ) -> None:
        """Compile ``source``; ``special_tokens`` are its variables ("bos_token" …).

        Where there is a ``tool_use`` template, it is the one for conversations with tools.

        Raises:
            GenerationError: a template is too long or not valid.
        """
        shown = source if tool_use is None else tool_use
        self.tool_format: ToolFormat = format_of(shown, is_for_tools=tool_use is not None)
        self._source = f"{source}\n{tool_use or ''}"
        self.marks: ThinkingMarks | None = marks_of_template(self._source)
        """What stands around thinking; None where the template shows that it does not think."""
        self._plain, self._tool_use = source, shown
        for each in {source, shown}:
            _check(each)
        self._reads_types = "type" in source
        self._special_tokens = dict(special_tokens)

    @classmethod
    def from_folder(cls, folder: Path, special_tokens: Mapping[str, str]) -> ChatTemplate | None:
        """The template of an artifact or checkpoint folder; None where it has none.

        Raises:
            CheckpointError: a file that can't be read.
            GenerationError: as the constructor.
        """
        from aipc.checkpoint.chat_templates import DEFAULT, TOOL_USE, read_chat_templates

        named = read_chat_templates(folder)
        return cls(named[DEFAULT], special_tokens, named.get(TOOL_USE)) if named else None

    @cached_property
    def variables(self) -> frozenset[str]:
        """What it reads that it does not set itself."""
        from aipc.generate.sandbox import dialect

        return dialect.variables_of(self._source)

    @cached_property
    def thinking_key(self) -> str | None:
        """The key under which it reads what an earlier answer's message had thought."""
        return next((key for key in THINKING_KEYS if self._reads_key(key)), None)

    def has(self, text: str) -> bool:
        """Whether ``text`` stands in its source."""
        return text in self._source

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        options: Mapping[str, Any] = NO_OPTIONS,
        add_generation_prompt: bool = True,
    ) -> str:
        """The text to encode, without adding special tokens: the template writes its own.

        ``tools`` are plain JSON in OpenAI's form; ``options`` are more of its variables;
        ``add_generation_prompt`` ends the text where the model's answer begins.

        Raises:
            GenerationError: no messages, a message without a role, or a template that
                refuses the conversation or takes too much time or text.
        """
        turns = plain(messages)
        try:
            return self._render_in_order(turns, list(tools), options, add_generation_prompt)
        except TemplateFailed as error:
            raise GenerationError(
                f"the model's chat template refuses this conversation: {error}",
                "change the messages' roles or their order, or choose another model",
            ) from error

    def _render_in_order(
        self,
        turns: list[dict[str, Any]],
        tools: list[Any],
        options: Mapping[str, Any],
        add_generation_prompt: bool,
    ) -> str:
        """Where the template refuses the order of the roles, in the order that all take."""
        more = {"add_generation_prompt": add_generation_prompt}
        try:
            return self._render(self._formed(turns), tools, options, **more)
        except TemplateRefused:
            for has_system in (True, False):
                other = alternating(turns, has_system=has_system)
                if other != turns:
                    with suppress(TemplateRefused):
                        return self._render(self._formed(other), tools, options, **more)
            raise

    def _formed(self, turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [_in_parts(turn) for turn in turns] if self._takes_parts else turns

    def render_open(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        options: Mapping[str, Any] = NO_OPTIONS,
    ) -> str:
        """As `render`, up to the end of the last message's text, which the model is to continue.

        Raises:
            GenerationError: as `render`, or the last message is no text of the assistant's, or the
                template does not write it.
        """
        last = messages[-1] if messages else {}
        content = last.get("content")
        is_text = isinstance(content, str) and content.strip() and "tool_calls" not in last
        if last.get("role") != "assistant" or not is_text:
            raise GenerationError(
                "the last message is no text of the assistant's that could be continued",
                "end with one, or with the user's message",
            )
        marked = [*messages[:-1], {**last, "content": f"{content}{_PROBE}"}]
        text = self.render(marked, tools=tools, options=options, add_generation_prompt=False)
        end = text.rfind(_PROBE)
        if end < 0:
            raise GenerationError(
                "the model's chat template does not write the last message as it is",
                "end with the user's message",
            )
        return text[:end]

    def _reads_key(self, key: str) -> bool:
        return re.search(rf"\.{key}\b|['\"]{key}['\"]", self._source) is not None

    def _render(
        self,
        turns: list[dict[str, Any]],
        tools: list[Any],
        options: Mapping[str, Any] = NO_OPTIONS,
        *,
        add_generation_prompt: bool = True,
    ) -> str:
        variables = {
            **options,
            **self._special_tokens,
            "messages": turns,
            "tools": tools or None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        return TEMPLATES.render(self._tool_use if tools else self._plain, variables)

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether it reads a message's content as a list of parts alone and drops a text.

        Templates of models that see images do so without an error.
        """
        turn = {"role": "user", "content": _PROBE}
        return self._reads_types and not self._shows(turn) and self._shows(_in_parts(turn))

    def _shows(self, turn: dict[str, Any]) -> bool:
        try:
            return _PROBE in self._render([turn], [])
        except TemplateFailed:
            return False


def _in_parts(turn: dict[str, Any]) -> dict[str, Any]:
    content = turn.get("content")
    if not isinstance(content, str):
        return turn
    return {**turn, "content": [{"type": "text", "text": content}]}


def _check(source: str) -> None:
    if len(source) > MAX_SOURCE:
        raise GenerationError(
            f"the model's chat template has {len(source):,} characters, "
            f"more than the {MAX_SOURCE:,} that are allowed",
            "choose another model",
        )
    try:
        TEMPLATES.check(source)
    except TemplateFailed as error:
        raise GenerationError(
            f"the model's chat template is not valid: {error}", "choose another model"
        ) from error
