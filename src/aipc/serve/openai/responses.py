"""/v1/responses: OpenAI's newer form of chat, whose answers are kept in memory for a while."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from aipc.errors import PromptTooLong
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import Waiting
from aipc.serve.api.dispatch import Dispatcher, IndexedEvents, client_of
from aipc.serve.http.connection import EventStream, json_response, telling_ignored, while_connected
from aipc.serve.openai.stored import ResponseStore, StoredResponse, not_here, owner_of
from aipc.wire.errors import HTTPError
from aipc.wire.openai.formats import is_strict, schema_of
from aipc.wire.openai.items import InputItem, InputMessage, ItemReference, item_messages
from aipc.wire.openai.messages import without_oldest
from aipc.wire.openai.response_writer import ResponseWriter
from aipc.wire.openai.responses_schemas import (
    ResponseBody,
    ResponseRequest,
)
from aipc.wire.openai.tools import choose, definitions, naming_part
from aipc.wire.schemas import new_id, read
from aipc.wire.sse import waiting_frame

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
        writer = ResponseWriter(body, partial(self._keep, owner, items))
        if body.store is False:
            writer = ResponseWriter(body)
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


async def _response(writer: ResponseWriter, events: IndexedEvents) -> ResponseBody:
    async with aclosing(events):
        async for _, event in events:
            writer.frames(event)
    return writer.response


async def _frames(writer: ResponseWriter, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for _, event in events:
            if isinstance(event, Waiting):
                yield waiting_frame(event)
                continue
            for each in writer.frames(event):
                yield each
