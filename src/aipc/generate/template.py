"""A model's chat template: a conversation in, the prompt's text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aipc.errors import GenerationError
from aipc.generate.conversation import Message, plain
from aipc.generate.structured.tool_format import ToolFormat, format_of

MAX_SOURCE = 2**18
"""Characters; the longest templates of known models have about 30,000."""


class ChatTemplate:
    """Renders as `apply_chat_template` of transformers does; may be used from several threads."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """Compile ``source``; ``special_tokens`` are its variables ("bos_token" …).

        Raises:
            GenerationError: the template is too long or not valid.
        """
        if len(source) > MAX_SOURCE:
            raise GenerationError(
                f"the model's chat template has {len(source):,} characters, "
                f"more than the {MAX_SOURCE:,} that are allowed",
                "choose another model",
            )
        self.tool_format: ToolFormat = format_of(source)
        self._template = _compile(source)
        self._special_tokens = dict(special_tokens)

    @classmethod
    def from_folder(cls, folder: Path, special_tokens: Mapping[str, str]) -> ChatTemplate | None:
        """The template of an artifact or checkpoint folder; None where it has none.

        Raises:
            CheckpointError: a file that can't be read.
            GenerationError: as the constructor.
        """
        from aipc.checkpoint.folder import read_chat_template

        source = read_chat_template(folder)
        return None if source is None else cls(source, special_tokens)

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = True,
    ) -> str:
        """The text to encode, without adding special tokens: the template writes its own.

        ``tools`` are plain JSON in OpenAI's form; ``add_generation_prompt`` ends the text where
        the model's answer begins.

        Raises:
            GenerationError: no messages, a message without a role, or a template that
                refuses the conversation or takes too much time or text.
        """
        from aipc.generate import sandbox

        variables = {
            **self._special_tokens,
            "messages": plain(messages),
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        try:
            return sandbox.render(self._template, variables)
        except Exception as error:  # a template can fail in every way that Python can
            raise GenerationError(
                f"the model's chat template refuses this conversation: {_reason(error)}",
                "change the messages' roles or their order, or choose another model",
            ) from error


def _compile(source: str) -> Any:
    from jinja2 import TemplateError

    from aipc.generate import sandbox

    try:
        return sandbox.compile_template(source)
    except (TemplateError, RecursionError) as error:
        raise GenerationError(
            f"the model's chat template is not valid: {_reason(error)}", "choose another model"
        ) from error


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
