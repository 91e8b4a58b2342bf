"""From what a caller asks, a text or a conversation, to the token ids of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from aipc.errors import GenerationError, UsageError
from aipc.generate.conversation import Message, arrange
from aipc.generate.structured.tools import Toolbox
from aipc.generate.template import ChatTemplate
from aipc.generate.thinking.mode import DEFAULT_MODE, ThinkingMode
from aipc.generate.tokenizer import Tokenizer
from aipc.tables import read_table

Prompt = str | Sequence[Message]
NO_TOOLS = Toolbox()
_BARE = "\N{WHITE SMILING FACE}"
"""Merges with nothing that follows it."""


@dataclass(frozen=True)
class WrittenPrompt:
    """A prompt as the text that the model reads."""

    text: str
    is_rendered: bool
    """By a chat template, which wrote its own special tokens."""

    def encode(self, tokenizer: Tokenizer) -> list[int]:
        return tokenizer.encode(self.text, add_special_tokens=not self.is_rendered)


def encode_prompt(
    prompt: Prompt, tokenizer: Tokenizer, template: ChatTemplate | None, *, raw: bool = False
) -> list[int]:
    """Token ids of ``prompt``; arguments and errors are those of `write_prompt`."""
    return write_prompt(prompt, template, raw=raw).encode(tokenizer)


def write_prompt(
    prompt: Prompt,
    template: ChatTemplate | None,
    *,
    raw: bool = False,
    tools: Toolbox = NO_TOOLS,
    continue_final: bool = False,
    mode: ThinkingMode = DEFAULT_MODE,
) -> WrittenPrompt:
    """The text of ``prompt``.

    A conversation goes through the chat template; so does a text, as one user message.
    Where the model has no template, or with ``raw``, a text is the very beginning of what
    the model should continue, with the special tokens that its tokenizer adds (a bos).
    With ``continue_final`` it ends with the text of the last message, the assistant's.

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
            return WrittenPrompt(prompt, is_rendered=False)
        prompt = [{"role": "user", "content": prompt}]
    if raw:
        raise GenerationError("a raw prompt can't be a list of messages", "give one text")
    if template is None:
        raise GenerationError(
            "this model has no chat template, so messages with roles mean nothing to it",
            "give one text to continue, or choose a model made for chat",
        )
    form = template.tool_format
    turns = arrange(prompt, form, tools.shown, thinking_key=template.thinking_key)
    messages = mode.command_in(turns)
    shown = tools.shown if form.shown == "template" else ()
    if continue_final:
        _refuse_forced(tools)
        text = template.render_open(messages, tools=shown, options=mode.options)
        return WrittenPrompt(text, is_rendered=True)
    text = template.render(messages, tools=shown, options=mode.options)
    return WrittenPrompt(mode.finish(text, template), is_rendered=True)


def _refuse_forced(tools: Toolbox) -> None:
    if tools.forced:
        raise UsageError(
            "an answer that is begun already can't be a call that is required",
            "end with the user's message, or leave the choice of tools to the model",
        )


@dataclass(frozen=True)
class FillFormat:
    """One family's way to ask for a middle; its fields are said in fill_in_the_middle.toml."""

    name: str
    prompt: tuple[str, ...]
    ends: tuple[str, ...]
    source: str
    bare_suffix: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """The tokens of the prompt."""
        return tuple(part for part in self.prompt if part not in {"{prefix}", "{suffix}"})


def encode_middle(prefix: str, suffix: str, tokenizer: Tokenizer) -> list[int]:
    """The prompt for what stands between two texts.

    Raises:
        UsageError: the model has no tokens for it.
    """
    form = fill_format(tokenizer)
    if form is None:
        raise UsageError(
            "this model can't fill in the middle: its tokenizer has no tokens for a suffix",
            f"leave suffix out, or choose one that can: {', '.join(_fill_names())}",
        )
    texts = {"{prefix}": _encode(prefix, tokenizer)}
    texts["{suffix}"] = _encode(suffix, tokenizer, bare=form.bare_suffix)
    tokens = tokenizer.encode("", add_special_tokens=True)
    for part in form.prompt:
        tokens += texts[part] if part in texts else _ids([part], tokenizer)
    return tokens


def middle_ends(tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end what a model fills in, besides its stop ids."""
    form = fill_format(tokenizer)
    return frozenset() if form is None else frozenset(_ids([*form.marks, *form.ends], tokenizer))


def fill_format(tokenizer: Tokenizer) -> FillFormat | None:
    """The first of the table whose tokens the tokenizer has, each as one."""
    forms = (one for one in fill_formats() if len(_ids(one.marks, tokenizer)) == len(one.marks))
    return next(forms, None)


@cache
def fill_formats() -> tuple[FillFormat, ...]:
    """Every one that is known here."""
    rows = read_table(__package__, "fill_in_the_middle.toml")["format"]
    return tuple(
        FillFormat(**{**row, "prompt": tuple(row["prompt"]), "ends": tuple(row["ends"])})
        for row in rows
    )


def _fill_names() -> list[str]:
    return [form.name for form in fill_formats()]


def _ids(texts: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    found = (tokenizer.id_of(text) for text in texts)
    return [number for number in found if number is not None]


def _encode(text: str, tokenizer: Tokenizer, *, bare: bool = False) -> list[int]:
    """``bare``: without the space that sentencepiece puts before a text."""
    before = len(tokenizer.encode(_BARE, add_special_tokens=False)) if bare else 0
    return tokenizer.encode(_BARE * bare + text, add_special_tokens=False)[before:]


def _refuse_tools(tools: Toolbox) -> None:
    if tools.shown:
        raise UsageError(
            "text without a chat template can't offer tools",
            "send messages to a model made for chat, or describe the tools in the text",
        )
