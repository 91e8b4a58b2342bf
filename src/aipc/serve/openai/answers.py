"""Answers what is asked by OpenAI's paths, whole or as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from aipc.serve.api.dispatch import Dispatcher, client_of
from aipc.serve.http.connection import (
    EventStream,
    json_response,
    telling_ignored,
    while_connected,
)
from aipc.wire.exchange import Exchange, FrameWriter, IndexedEvents, events_of
from aipc.wire.openai.urls import begin
from aipc.wire.schemas import ApiModel


async def answer(dispatcher: Dispatcher, request: Request) -> Response:
    """Of any path of `aipc.wire.openai.urls`."""
    exchange = begin(request.url.path, await request.body(), client_of(request))
    return await answer_exchange(dispatcher, request, exchange)


async def answer_exchange(dispatcher: Dispatcher, request: Request, exchange: Exchange) -> Response:
    body = exchange.body
    ask = partial(
        dispatcher.events, request, body.model, body.device, whole=not exchange.wants_frames
    )
    events = events_of(exchange, ask)
    if exchange.wants_frames:
        writer = exchange.frame_writer()
        stream = EventStream(_frames(writer, events), writer.error_frame)
        return telling_ignored(stream, body)
    whole = await while_connected(request.receive, _whole(exchange, events))
    return telling_ignored(json_response(whole), body)


async def _whole(exchange: Exchange, events: IndexedEvents) -> ApiModel:
    async with aclosing(events):
        async for index, event in events:
            exchange.add(index, event)
    return exchange.whole()


async def _frames(writer: FrameWriter, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for index, event in events:
            for each in writer.frames(index, event):
                yield each
    for each in writer.last_frames():
        yield each
