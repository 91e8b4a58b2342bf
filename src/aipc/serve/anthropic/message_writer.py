"""A request's events as one of Anthropic's messages, whole and as server-sent events."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from operator import methodcaller
from typing import Any

from aipc.generate import Finished, Text, Thinking, ToolCall
from aipc.pool.worker.messages import Begun, ServerEvent, Waiting
from aipc.serve.anthropic.schemas import (
    AnswerBlock,
    AnswerText,
    AnswerThinking,
    AnswerToolUse,
    MessageBody,
    MessageEnding,
    MessageRequest,
    MessageUsage,
    ThinkingTokens,
)
from aipc.wire.schemas import new_id
from aipc.wire.sse import frame

_DUMP = methodcaller("model_dump")
PING = frame('{"type":"ping"}', "ping")
"""What keeps a stream alive, in place of a comment."""


class MessageWriter:
    """Builds ``message`` from a request's events; each step is one server-sent event."""

    def __init__(self, body: MessageRequest, model: str) -> None:
        choice = body.tool_choice
        self._wants_one_call = bool(choice and choice.disable_parallel_tool_use)
        self._hides_thinking = bool(body.thinking and body.thinking.display == "omitted")
        self._limit = body.max_tokens
        self._has_begun = False
        self._open: AnswerText | AnswerThinking | None = None
        self._digest = hashlib.sha256()
        self.message = MessageBody(
            id=new_id("msg", "_"),
            type="message",
            role="assistant",
            model=model,
            content=[],
            stop_reason=None,
            stop_sequence=None,
            usage=_usage(None),
        )

    def frames(self, event: ServerEvent) -> Iterator[bytes]:
        """The server-sent events of one event."""
        if isinstance(event, Waiting):
            yield PING
            return
        if not self._has_begun:
            self._has_begun = True
            if isinstance(event, Begun):
                self.message.usage.input_tokens = event.prompt_tokens
            yield _event("message_start", message=self.message)
        if isinstance(event, Text) and event.text:
            yield from self._write(event.text)
        elif isinstance(event, Thinking) and event.thinking:
            yield from self._think(event.thinking)
        elif isinstance(event, ToolCall):
            yield from self._call(event)
        elif isinstance(event, Finished):
            yield from self._finish(event)

    def _write(self, text: str) -> Iterator[bytes]:
        block = self._open
        if not isinstance(block, AnswerText):
            block = AnswerText(type="text", text="")
            yield from self._begin(block)
        block.text += text
        yield self._delta("text_delta", text=text)

    def _think(self, text: str) -> Iterator[bytes]:
        block = self._open
        if not isinstance(block, AnswerThinking):
            block = AnswerThinking(type="thinking", thinking="", signature="")
            yield from self._begin(block)
        self._digest.update(text.encode())
        if not self._hides_thinking:
            block.thinking += text
            yield self._delta("thinking_delta", thinking=text)

    def _call(self, call: ToolCall) -> Iterator[bytes]:
        if self._wants_one_call and any(one.type == "tool_use" for one in self.message.content):
            return
        block = AnswerToolUse(type="tool_use", id=call.id, name=call.name, input={})
        yield from self._begin(block)
        block.input = json.loads(call.arguments)
        yield self._delta("input_json_delta", partial_json=call.arguments)
        yield self._stop()

    def _begin(self, block: AnswerBlock) -> Iterator[bytes]:
        yield from self._end()
        self._open = None if isinstance(block, AnswerToolUse) else block
        self.message.content.append(block)
        yield _event("content_block_start", index=self._index, content_block=block)

    def _end(self) -> Iterator[bytes]:
        """End the open block, if there is one."""
        block, self._open = self._open, None
        if block is None:
            return
        if isinstance(block, AnswerThinking):
            block.signature = base64.b64encode(self._digest.digest()).decode()
            yield self._delta("signature_delta", signature=block.signature)
        yield self._stop()

    def _finish(self, end: Finished) -> Iterator[bytes]:
        yield from self._end()
        self.message.stop_reason = self._ending(end)
        self.message.stop_sequence = end.stop
        self.message.usage = _usage(end)
        delta = {"stop_reason": self.message.stop_reason, "stop_sequence": end.stop}
        yield _event("message_delta", delta=delta, usage=self.message.usage)
        yield _event("message_stop")

    def _ending(self, end: Finished) -> MessageEnding:
        if end.reason == "tool_calls":
            return "tool_use"
        if end.reason == "stop":
            return "end_turn" if end.stop is None else "stop_sequence"
        is_full = end.usage.completion_tokens < self._limit
        return "model_context_window_exceeded" if is_full else "max_tokens"

    @property
    def _index(self) -> int:
        return len(self.message.content) - 1

    def _delta(self, kind: str, **members: str) -> bytes:
        delta = {"type": kind, **members}
        return _event("content_block_delta", index=self._index, delta=delta)

    def _stop(self) -> bytes:
        return _event("content_block_stop", index=self._index)


def _usage(end: Finished | None) -> MessageUsage:
    usage = end.usage if end else None
    cached = usage.cached_tokens if usage else 0
    return MessageUsage(
        input_tokens=usage.prompt_tokens - cached if usage else 0,
        cache_creation_input_tokens=0,
        cache_read_input_tokens=cached,
        output_tokens=usage.completion_tokens if usage else 0,
        output_tokens_details=ThinkingTokens(thinking_tokens=usage.thinking_tokens if usage else 0),
    )


def _event(kind: str, **members: Any) -> bytes:
    return frame(json.dumps({"type": kind, **members}, default=_DUMP, ensure_ascii=False), kind)
