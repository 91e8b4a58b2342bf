"""From what a caller asks, a text or a conversation, to the token ids of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from aipc.errors import GenerationError, UsageError
from aipc.generate.conversation import Message, arrange
from aipc.generate.structured.tools import Toolbox
from aipc.generate.template import ChatTemplate
from aipc.generate.tokenizer import Tokenizer

Prompt = str | Sequence[Message]
NO_TOOLS = Toolbox()


def encode_prompt(
    prompt: Prompt,
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
    *,
    raw: bool = False,
    tools: Toolbox = NO_TOOLS,
    continue_final: bool = False,
) -> list[int]:
    """Token ids of ``prompt``.

    A conversation goes through the chat template; so does a text, as one user message.
    Where the model has no template, or with ``raw``, a text is the very beginning of what
    the model should continue, with the special tokens that its tokenizer adds (a bos).
    With ``continue_final`` the ids end with the text of the last message, the assistant's.

    Raises:
        GenerationError: an empty prompt, a conversation for a model without a chat
            template or with ``raw``, one that the template refuses, or no assistant's text
            to continue.
        UsageError: text without a template with ``tools``, or a text to continue and a call that
            is forced.
    """
    if isinstance(prompt, str):
        if not prompt.strip():
            raise GenerationError("the prompt is empty", "write a question")
        if raw or template is None:
            _refuse_tools(tools)
            return tokenizer.encode(prompt, add_special_tokens=True)
        prompt = [{"role": "user", "content": prompt}]
    if raw:
        raise GenerationError("a raw prompt can't be a list of messages", "give one text")
    if template is None:
        raise GenerationError(
            "this model has no chat template, so messages with roles mean nothing to it",
            "give one text to continue, or choose a model made for chat",
        )
    form = template.tool_format
    messages = arrange(prompt, form, tools.shown)
    shown = tools.shown if form.shown == "template" else ()
    if continue_final:
        _refuse_forced(tools)
        text = template.render_open(messages, tools=shown)
    else:
        text = template.render(messages, tools=shown) + (form.opening if tools.forced else "")
    return tokenizer.encode(text, add_special_tokens=False)


def _refuse_forced(tools: Toolbox) -> None:
    if tools.forced:
        raise UsageError(
            "an answer that is begun already can't be a call that is required",
            "end with the user's message, or leave the choice of tools to the model",
        )


def _refuse_tools(tools: Toolbox) -> None:
    if tools.shown:
        raise UsageError(
            "text without a chat template can't offer tools",
            "send messages to a model made for chat, or describe the tools in the text",
        )
