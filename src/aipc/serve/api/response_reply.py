"""A response of /v1/responses as it grows, and the events that tell of it."""

from __future__ import annotations

import json
import time
from typing import Any

from pydantic import BaseModel

from aipc.generate import Finished, Text, ToolCall
from aipc.serve.api.chat_schemas import TextFormat
from aipc.serve.api.identity import new_id
from aipc.serve.api.responses_schemas import (
    CachedTokens,
    IncompleteDetails,
    OutputCall,
    OutputMessage,
    OutputText,
    ReasoningTokens,
    ResponseBody,
    ResponseRequest,
    ResponseUsage,
    TextOptions,
)
from aipc.serve.api.usage import timings_of, usage_of
from aipc.serve.http.connection import frame
from aipc.serve.http.errors import HTTPError
from aipc.serve.requests import Saying


class ResponseWriter:
    """What is said becomes items of ``body``; each step is told by its event."""

    def __init__(self, asked: ResponseRequest) -> None:
        self._wants_one_call = asked.parallel_tool_calls is False
        self._number = 0
        self._has_begun = False
        self._message: OutputMessage | None = None
        self.body = _begun(asked)

    def frames(self, saying: Saying) -> list[bytes]:
        """The events of one saying."""
        told = [] if self._has_begun else self._begin()
        if isinstance(saying, Text) and saying.text:
            told += self._write(saying.text)
        elif isinstance(saying, ToolCall):
            told += self._call(saying)
        elif isinstance(saying, Finished):
            told += self._finish(saying)
        return told

    def error_frame(self, error: HTTPError) -> bytes:
        body = error.body["error"]
        return self._event("error", code=body["code"], message=body["message"], param=body["param"])

    def _begin(self) -> list[bytes]:
        self._has_begun = True
        return [
            self._event("response.created", response=self.body),
            self._event("response.in_progress", response=self.body),
        ]

    def _write(self, text: str) -> list[bytes]:
        told: list[bytes] = []
        message = self._message or self._open(told)
        message.content[0].text += text
        place = self._place(message)
        return [*told, self._event("response.output_text.delta", delta=text, logprobs=[], **place)]

    def _open(self, told: list[bytes]) -> OutputMessage:
        part = OutputText(type="output_text", text="", annotations=[], logprobs=[])
        message = OutputMessage(
            id=new_id("msg"), type="message", role="assistant", status="in_progress", content=[]
        )
        self.body.output.append(message)
        told.append(self._item("added", message))
        message.content.append(part)
        self._message = message
        place = self._place(message)
        told.append(self._event("response.content_part.added", part=part, **place))
        return message

    def _close(self, status: Any = "completed") -> list[bytes]:
        """End the message that is open, if one is."""
        message, self._message = self._message, None
        if message is None:
            return []
        message.status = status
        part, place = message.content[0], self._place(message)
        return [
            self._event("response.output_text.done", text=part.text, logprobs=[], **place),
            self._event("response.content_part.done", part=part, **place),
            self._item("done", message),
        ]

    def _call(self, call: ToolCall) -> list[bytes]:
        if self._wants_one_call and any(item.type == "function_call" for item in self.body.output):
            return []
        told = self._close()
        item = OutputCall(
            id=new_id("fc"),
            type="function_call",
            status="in_progress",
            call_id=call.id,
            name=call.name,
            arguments="",
        )
        self.body.output.append(item)
        told.append(self._item("added", item))
        item.arguments, item.status = call.arguments, "completed"
        place = {"item_id": item.id, "output_index": len(self.body.output) - 1}
        kind = "response.function_call_arguments"
        told.append(self._event(f"{kind}.delta", delta=item.arguments, **place))
        told.append(self._event(f"{kind}.done", arguments=item.arguments, name=item.name, **place))
        return [*told, self._item("done", item)]

    def _finish(self, end: Finished) -> list[bytes]:
        is_cut = end.reason == "length"
        status: Any = "incomplete" if is_cut else "completed"
        told = self._close(status)
        self.body.status = status
        if is_cut:
            self.body.incomplete_details = IncompleteDetails(reason="max_output_tokens")
        self.body.usage = _usage(end)
        self.body.timings = timings_of([end])
        return [*told, self._event(f"response.{status}", response=self.body)]

    def _item(self, step: str, item: OutputMessage | OutputCall) -> bytes:
        index = len(self.body.output) - 1
        return self._event(f"response.output_item.{step}", item=item, output_index=index)

    def _place(self, message: OutputMessage) -> dict[str, Any]:
        index = len(self.body.output) - 1
        return {"item_id": message.id, "output_index": index, "content_index": 0}

    def _event(self, kind: str, **members: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return frame(json.dumps(data, default=_plain, ensure_ascii=False), kind)


def _plain(model: BaseModel) -> Any:
    return model.model_dump(exclude_unset=True, by_alias=True)


def _begun(asked: ResponseRequest) -> ResponseBody:
    return ResponseBody(
        id=new_id("resp"),
        object="response",
        created_at=int(time.time()),
        status="in_progress",
        model=asked.model,
        output=[],
        error=None,
        incomplete_details=None,
        instructions=asked.instructions,
        max_output_tokens=asked.max_output_tokens,
        metadata=asked.metadata or {},
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        previous_response_id=None,
        store=False,
        temperature=asked.temperature,
        text=asked.text or TextOptions(format=TextFormat(type="text")),
        tool_choice=asked.tool_choice or "auto",
        tools=asked.tools or [],
        top_p=asked.top_p,
        truncation="disabled",
        usage=None,
    )


def _usage(end: Finished) -> ResponseUsage:
    usage = usage_of([end])
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=CachedTokens(cached_tokens=0),
        output_tokens=usage.completion_tokens,
        output_tokens_details=ReasoningTokens(reasoning_tokens=0),
        total_tokens=usage.total_tokens,
    )
