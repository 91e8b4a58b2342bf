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
) -> list[int]:
    """Token ids of ``prompt``.

    A conversation goes through the chat template; so does a text, as one user message.
    Where the model has no template, or with ``raw``, a text is the very beginning of what
    the model should continue, with the special tokens that its tokenizer adds (a bos).

    Raises:
        GenerationError: an empty prompt, a conversation for a model without a chat
            template or with ``raw``, or a conversation that the template refuses.
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
    text = template.render(messages, tools=tools.shown if form.shown == "template" else ())
    opening = form.opening if tools.forced else ""
    return tokenizer.encode(text + opening, add_special_tokens=False)


def _refuse_tools(tools: Toolbox) -> None:
    if tools.shown:
        raise UsageError(
            "text without a chat template can't offer tools",
            "send messages to a model made for chat, or describe the tools in the text",
        )
