"""Messages made of Anthropic's blocks, as a conversation in OpenAI's form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from aipc.serve.anthropic.schemas import (
    Block,
    CountRequest,
    DocumentBlock,
    OtherBlock,
    SearchResultBlock,
    TextBlock,
    ThinkingBlock,
    ToolReferenceBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from aipc.wire.errors import HTTPError
from aipc.wire.refusals import written

Path = tuple[str | int, ...]

_UNREAD = {"image": "an image", "document": "a document that is no text"}
_BILLING = "x-anthropic-billing-header:"  # a line for Anthropic's own servers, other each time


class Transcript:
    """``messages`` in OpenAI's form.

    A message that follows one of the same role continues it.  A system's message before the first
    answer joins the system prompt, as chat templates have one at the beginning alone; a later one
    is a part of the user's message there, between marks.

    Raises:
        HTTPError: 400, a block that can't be left out without changing the answer, or nothing said.
    """

    def __init__(self, body: CountRequest) -> None:
        self._system = [block.text for block in body.system or () if not _is_billing(block.text)]
        self._turns: list[dict[str, Any]] = []
        for number, message in enumerate(body.messages):
            for place, block in enumerate(message.content):
                self._add(message.role, block, ("messages", number, "content", place))
        if not self._turns:
            what = "messages: none of them says anything; write one of the user's"
            raise HTTPError(400, what, code="invalid_value", param="messages")

    @property
    def messages(self) -> list[dict[str, Any]]:
        system = {"role": "system", "content": "\n".join(self._system)}
        return [system, *self._turns] if self._system else self._turns

    @property
    def is_open(self) -> bool:
        """Whether it ends with a text of the assistant's, which the answer continues."""
        return bool(self._turns) and self._turns[-1]["role"] == "assistant"

    def _add(self, role: str, block: Block, path: Path) -> None:
        if role == "assistant":
            self._add_answer(block)
        elif isinstance(block, ToolResultBlock):
            self._add_result(block, path)
        elif role == "user":
            self._add_texts(self._texts(block, path))
        elif any(turn["role"] == "assistant" for turn in self._turns):
            self._add_texts(["<system>", *self._texts(block, path), "</system>"])
        else:
            self._system += self._texts(block, path)

    def _add_texts(self, texts: Iterable[str]) -> None:
        turn = self._turn("user")
        turn["content"] = "\n".join([turn["content"], *texts] if turn["content"] else texts)

    def _add_answer(self, block: Block) -> None:
        turn = self._turn("assistant")
        if isinstance(block, TextBlock):
            turn["content"] += block.text
        elif isinstance(block, ThinkingBlock):
            turn["reasoning_content"] = turn.get("reasoning_content", "") + block.thinking
        elif isinstance(block, ToolUseBlock):
            function = {"name": block.name, "arguments": json.dumps(block.input)}
            call = {"id": block.id, "type": "function", "function": function}
            turn.setdefault("tool_calls", []).append(call)

    def _add_result(self, block: ToolResultBlock, path: Path) -> None:
        """What of it the model can't read is said in its place: a screenshot ends no session."""
        texts = ["Error:"] if block.is_error else []
        for place, part in enumerate(block.content or ()):
            if isinstance(part, OtherBlock):
                texts.append(f"[{_name(part)}, which this model can't read]")
            else:
                texts += self._texts(part, (*path, "content", place))
        text = "\n".join(texts)
        turn = {"role": "tool", "tool_call_id": block.tool_use_id, "content": text}
        end = len(self._turns)
        while end and self._turns[end - 1]["role"] == "user":  # results stand behind their calls
            end -= 1
        self._turns.insert(end, turn)

    def _texts(self, block: Block, path: Path) -> Iterator[str]:
        if isinstance(block, TextBlock):
            yield block.text
        elif isinstance(block, SearchResultBlock):
            yield f"{block.title} ({block.source})"
            yield from (part.text for part in block.content)
        elif isinstance(block, DocumentBlock):
            yield from (text for text in (block.title, block.context, block.source.data) if text)
            for place, part in enumerate(block.source.content):
                yield from self._texts(part, (*path, "source", "content", place))
        elif isinstance(block, ToolReferenceBlock):
            yield f"the tool {block.tool_name}"
        else:
            where = written(path)
            message = (
                f"{where}: this is {_name(block)}, and the models here read text; leave it out"
            )
            raise HTTPError(400, message, code="invalid_value", param=where)

    def _turn(self, role: str) -> dict[str, Any]:
        """The last message, if it is of that role, else a new one."""
        if not self._turns or self._turns[-1]["role"] != role:
            self._turns.append({"role": role, "content": ""})
        return self._turns[-1]


def _is_billing(text: str) -> bool:
    return text.startswith(_BILLING) and "\n" not in text


def _name(block: Block) -> str:
    return _UNREAD.get(block.type, f"a block of the type '{block.type:.40}'")
