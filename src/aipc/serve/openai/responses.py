"""/v1/responses: OpenAI's newer form of chat, whose answers are kept in memory for a while."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from aipc.errors import PromptTooLong
from aipc.generate import Finished, Text, Thinking, ToolCall
from aipc.generate.request import GenerationRequest
from aipc.serve.api.dispatch import Dispatcher, IndexedEvents, client_of
from aipc.serve.api.schemas import json_response, new_id, read, telling_ignored, timings_of
from aipc.serve.http.connection import EventStream, frame, waiting_frame, while_connected
from aipc.serve.http.errors import HTTPError
from aipc.serve.openai.formats import is_strict, schema_of
from aipc.serve.openai.items import InputItem, InputMessage, ItemReference, item_messages
from aipc.serve.openai.messages import without_oldest
from aipc.serve.openai.responses_schemas import (
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
from aipc.serve.openai.schemas import TokenLogprob, ending, token_logprobs, usage_of
from aipc.serve.openai.stored import ResponseStore, StoredResponse, not_here, owner_of
from aipc.serve.openai.tools import choose, definitions, naming_part
from aipc.serve.worker.messages import ServerEvent, Waiting

_DUMP = methodcaller("model_dump", exclude_unset=True, by_alias=True)
_READ = TypeAdapter(list[InputItem]).validate_python


class Responses:
    """Answers them, and keeps them in ``store`` unless a request forbids it."""

    def __init__(self, dispatcher: Dispatcher, store: ResponseStore) -> None:
        self._dispatcher = dispatcher
        self._store = store

    async def answer(self, request: Request) -> Response:
        body = read(ResponseRequest, await request.body())
        owner = owner_of(request)
        items = self._items(owner, body)
        writer = _ResponseWriter(body, partial(self._keep, owner, items))
        if body.store is False:
            writer = _ResponseWriter(body)
        asked = _generation_request(body, items, client_of(request))
        events = self._events(request, body, asked)
        events = naming_part(
            events, body.tools, asked.schema, "text.format.schema", strict=asked.strict
        )
        if body.stream:
            return telling_ignored(EventStream(_frames(writer, events), writer.error_frame), body)
        response = await while_connected(request.receive, _response(writer, events))
        return telling_ignored(json_response(response), body)

    def _items(self, owner: str, body: ResponseRequest) -> list[InputItem]:
        """The whole input: what came before it, and kept items in the place of references."""
        before = self._store.items_before(owner, body.previous_response_id or "")
        items = _READ(before)
        if isinstance(body.input, str):
            said = [InputMessage(role="user", content=body.input)] if body.input else []
            return [*items, *said]
        for index, item in enumerate(body.input):
            if not isinstance(item, ItemReference):
                items.append(item)
            elif found := self._store.item(owner, item.id):
                items += _READ([found])
            elif item.id.startswith("rs_"):  # reasoning, which an answer can do without
                body.ignore(f"input[{index}]")
            else:
                raise not_here("item", item.id, "item_not_found", f"input[{index}].id")
        return items

    def _keep(self, owner: str, items: Sequence[InputItem], response: ResponseBody) -> None:
        given = [item.model_dump(exclude_none=True) for item in items]
        kept = [{"id": new_id("item", "_"), **item} for item in given]
        body = response.model_dump_json(exclude_unset=True)
        self._store.keep(owner, response.id, StoredResponse(kept, body))

    async def _events(
        self, request: Request, body: ResponseRequest, generation: GenerationRequest
    ) -> IndexedEvents:
        """The events; of a conversation that is too long, without its oldest turns if so wanted."""
        turns = 1
        while True:
            events = self._dispatcher.events(request, body.model, body.device, [generation])
            try:
                async with aclosing(events):
                    async for event in events:
                        yield event
            except PromptTooLong:
                shorter = without_oldest(generation.messages or (), turns)
                if body.truncation != "auto" or not shorter:
                    raise
                generation = replace(generation, messages=shorter)
                turns *= 2
            else:
                return


def _generation_request(
    body: ResponseRequest, items: Sequence[InputItem], client: str
) -> GenerationRequest:
    instructions = [{"role": "system", "content": body.instructions}] if body.instructions else []
    messages = item_messages(items)
    if not messages:
        raise HTTPError(400, "input: give a text or an item", code="invalid_value", param="input")
    tools, choice = choose(body.tool_choice, definitions(body.tools))
    if body.tools and not tools and body.needs_tool:
        message = "tool_choice asks for a call, and none of the tools is a function"
        raise HTTPError(400, message, code="invalid_value", param="tool_choice")
    form = body.text.format if body.text else None
    return GenerationRequest(
        messages=[*instructions, *messages],
        sampling=body.sampling(body.limit),
        schema=schema_of(form),
        tools=tools,
        tool_choice=choice,
        strict=is_strict(form) or True in (tool.strict for tool in body.functions),
        template_options=body.chat_template_kwargs or {},
        **body.thinking_fields(body.reasoning.effort if body.reasoning else None),
        ignore_eos=bool(body.ignore_eos),
        logprobs=body.wants_logprobs,
        top_logprobs=body.top_logprobs or 0,
        repetition_detection=body.loops,
        client=client,
    )


async def _response(writer: _ResponseWriter, events: IndexedEvents) -> ResponseBody:
    async with aclosing(events):
        async for _, event in events:
            writer.frames(event)
    return writer.response


async def _frames(writer: _ResponseWriter, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for _, event in events:
            if isinstance(event, Waiting):
                yield waiting_frame(event)
                continue
            for each in writer.frames(event):
                yield each


class _ResponseWriter:
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

    def frames(self, event: ServerEvent) -> list[bytes]:
        """The server-sent events of one event."""
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
