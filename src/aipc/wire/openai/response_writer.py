"""A response in the making: each event of its answer is some of its server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from operator import methodcaller
from typing import Any

from aipc.generate import Finished, Text, Thinking, ToolCall
from aipc.pool.worker.messages import ServerEvent, Waiting
from aipc.wire.errors import HTTPError
from aipc.wire.exchange import FrameWriter
from aipc.wire.openai.responses_schemas import (
    CachedTokens,
    IncompleteDetails,
    OutputCall,
    OutputMessage,
    OutputReasoning,
    OutputText,
    ReasoningText,
    ReasoningTokens,
    ResponseBody,
    ResponseRequest,
    ResponseUsage,
)
from aipc.wire.openai.schemas import TokenLogprob, ending, token_logprobs, usage_of
from aipc.wire.schemas import new_id, timings_of
from aipc.wire.sse import frame, waiting_frame

_DUMP = methodcaller("model_dump", exclude_unset=True, by_alias=True)


class ResponseWriter(FrameWriter):
    """Builds ``response`` from a request's events; each step is one server-sent event."""

    def __init__(
        self, body: ResponseRequest, keep: Callable[[ResponseBody], None] | None = None
    ) -> None:
        """``keep`` is given the response when it is whole."""
        self._keep = keep
        self._wants_one_call = body.parallel_tool_calls is False
        self._number = 0
        self._has_begun = False
        self._written: OutputMessage | OutputReasoning | None = None
        self.response = _begun(body)

    def frames(self, index: int, event: ServerEvent) -> Iterator[bytes]:  # noqa: ARG002 - there is one
        if isinstance(event, Waiting):
            yield waiting_frame(event)
            return
        yield from self.steps(event)

    def steps(self, event: ServerEvent) -> list[bytes]:
        """What an event of the answer adds to ``response``, as server-sent events."""
        frames: list[bytes] = []
        if not self._has_begun:
            self._has_begun = True
            frames.append(self._event("response.created", response=self.response))
            frames.append(self._event("response.in_progress", response=self.response))
        if isinstance(event, Text) and event.text:
            frames += self._write("message", event.text, token_logprobs(event))
        elif isinstance(event, Thinking) and event.thinking:
            frames += self._write("reasoning", event.thinking)
        elif isinstance(event, ToolCall):
            frames += self._call(event)
        elif isinstance(event, Finished):
            frames += self._finish(event)
        return frames

    def error_frame(self, error: HTTPError) -> bytes:
        return self._event("error", code=error.code, message=error.message, param=error.param)

    def _write(self, kind: str, text: str, told: Sequence[TokenLogprob] = ()) -> list[bytes]:
        """A piece of the message, or of the reasoning before it: an item that is opened at need."""
        frames: list[bytes] = []
        if self._written is None or self._written.type != kind:
            frames += self._close()
            frames += self._open(_message() if kind == "message" else _reasoning())
        assert self._written is not None  # noqa: S101 - for the type checker
        part = self._written.content[0]
        part.text += text
        members: dict[str, Any] = {"delta": text, **self._indexes(self._written)}
        if isinstance(part, OutputText):
            part.logprobs += told
            members["logprobs"] = [*told]
        return [*frames, self._event(f"response.{part.type}.delta", **members)]

    def _open(self, item: OutputReasoning | OutputMessage) -> list[bytes]:
        part, item.content = item.content, []
        self.response.output.append(item)
        added = self._item("added", item)
        item.content, self._written = part, item
        indexes = self._indexes(item)
        return [added, self._event("response.content_part.added", part=part[0], **indexes)]

    def _close(self, status: Any = "completed") -> list[bytes]:
        """Close the item that is open, if there is one."""
        item, self._written = self._written, None
        if item is None:
            return []
        item.status = status
        part, indexes = item.content[0], self._indexes(item)
        told = {"logprobs": part.logprobs} if isinstance(part, OutputText) else {}
        return [
            self._event(f"response.{part.type}.done", text=part.text, **told, **indexes),
            self._event("response.content_part.done", part=part, **indexes),
            self._item("done", item),
        ]

    def _call(self, call: ToolCall) -> list[bytes]:
        output = self.response.output
        if self._wants_one_call and any(item.type == "function_call" for item in output):
            return []
        frames = self._close()
        item = OutputCall(
            id=new_id("fc", "_"),
            type="function_call",
            status="in_progress",
            call_id=call.id,
            name=call.name,
            arguments="",
        )
        output.append(item)
        frames.append(self._item("added", item))
        item.arguments, item.status = call.arguments, "completed"
        indexes = {"item_id": item.id, "output_index": len(output) - 1}
        kind = "response.function_call_arguments"
        frames.append(self._event(f"{kind}.delta", delta=item.arguments, **indexes))
        frames.append(
            self._event(f"{kind}.done", arguments=item.arguments, name=item.name, **indexes)
        )
        return [*frames, self._item("done", item)]

    def _finish(self, end: Finished) -> list[bytes]:
        is_cut = end.reason in {"length", "repetition"}
        status: Any = "incomplete" if is_cut else "completed"
        frames = self._close(status)
        self.response.status = status
        if is_cut:
            self.response.incomplete_details = IncompleteDetails(reason="max_output_tokens")
        told = ending(end.reason, end.misfit)
        if "stop_reason" in told:
            self.response.stop_reason = told["stop_reason"]
        self.response.usage = _usage(end)
        self.response.timings = timings_of([end])
        if self._keep is not None:
            self._keep(self.response)
        return [*frames, self._event(f"response.{status}", response=self.response)]

    def _item(self, step: str, item: OutputReasoning | OutputMessage | OutputCall) -> bytes:
        index = len(self.response.output) - 1
        return self._event(f"response.output_item.{step}", item=item, output_index=index)

    def _indexes(self, item: OutputReasoning | OutputMessage) -> dict[str, Any]:
        index = len(self.response.output) - 1
        return {"item_id": item.id, "output_index": index, "content_index": 0}

    def _event(self, kind: str, **members: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return frame(json.dumps(data, default=_DUMP, ensure_ascii=False), kind)


def _message() -> OutputMessage:
    return OutputMessage(
        id=new_id("msg", "_"),
        type="message",
        role="assistant",
        status="in_progress",
        content=[OutputText(type="output_text", text="", annotations=[], logprobs=[])],
    )


def _reasoning() -> OutputReasoning:
    return OutputReasoning(
        id=new_id("rs", "_"),
        type="reasoning",
        status="in_progress",
        summary=[],
        content=[ReasoningText(type="reasoning_text", text="")],
    )


def _begun(body: ResponseRequest) -> ResponseBody:
    """With what the request says of itself, as OpenAI tells it again."""
    choice = body.tool_choice
    text = body.text.model_dump(exclude_none=True, by_alias=True) if body.text else {}
    return ResponseBody(
        id=new_id("resp", "_"),
        object="response",
        created_at=int(time.time()),
        status="in_progress",
        background=False,
        model=body.model,
        output=[],
        error=None,
        incomplete_details=None,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        max_tool_calls=body.max_tool_calls,
        metadata=body.metadata or {},
        parallel_tool_calls=body.parallel_tool_calls is not False,
        previous_response_id=body.previous_response_id,
        reasoning={"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
        service_tier="default",
        store=body.store is not False,
        temperature=body.temperature,
        text={"format": {"type": "text"}, **text},
        tool_choice=(choice if isinstance(choice, str) else choice.model_dump(exclude_none=True))
        if choice
        else "auto",
        tools=[tool.model_dump() for tool in body.functions],
        top_logprobs=body.top_logprobs or 0,
        top_p=body.top_p,
        truncation=body.truncation or "disabled",
        usage=None,
    )


def _usage(end: Finished) -> ResponseUsage:
    usage = usage_of([end])
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=CachedTokens(
            cached_tokens=end.usage.cached_tokens, cache_write_tokens=0
        ),
        output_tokens=usage.completion_tokens,
        output_tokens_details=ReasoningTokens(reasoning_tokens=end.usage.thinking_tokens),
        total_tokens=usage.total_tokens,
    )
