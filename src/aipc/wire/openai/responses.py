"""A conversation in, the next items out: the exchange of /v1/responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import ServerEvent
from aipc.wire.errors import HTTPError
from aipc.wire.exchange import Exchange, FrameWriter
from aipc.wire.openai.formats import is_strict, schema_of
from aipc.wire.openai.items import InputItem, InputMessage, ItemReference, item_messages
from aipc.wire.openai.messages import without_oldest
from aipc.wire.openai.response_writer import ResponseWriter
from aipc.wire.openai.responses_schemas import ResponseBody, ResponseRequest
from aipc.wire.openai.tools import choose, definitions, naming_part

Keep = Callable[[ResponseBody], None]


class ResponseExchange(Exchange):
    """``items`` are the whole input; None where it refers to nothing that is kept.

    ``keep`` is given the response when it is whole.

    Raises:
        HTTPError: 400; nothing to answer, what does not go together, or a reference to what is
            kept, without ``items``.
    """

    def __init__(
        self,
        body: ResponseRequest,
        client: str = "",
        items: Sequence[InputItem] | None = None,
        keep: Keep | None = None,
    ) -> None:
        self.body: ResponseRequest = body
        items = _given_items(body) if items is None else items
        self.requests = [_generation_request(body, items, client)]
        self._writer = ResponseWriter(body, keep)
        self._turns = 1

    def add(self, index: int, event: ServerEvent) -> None:  # noqa: ARG002 - there is one
        self._writer.steps(event)

    def whole(self) -> ResponseBody:
        return self._writer.response

    def frame_writer(self) -> FrameWriter:
        return self._writer

    def naming(self) -> AbstractContextManager[None]:
        asked, at = self.requests[0], "text.format.schema"
        return naming_part(self.body.tools, asked.schema, at, strict=asked.strict)

    def shorten(self) -> bool:
        """Leave out the oldest turns: one, two, four … at a time."""
        shorter = without_oldest(self.requests[0].messages or (), self._turns)
        if self.body.truncation != "auto" or not shorter:
            return False
        self.requests = [replace(self.requests[0], messages=shorter)]
        self._turns *= 2
        return True


def said(text: str) -> list[InputItem]:
    """An input that is a text, as items."""
    return [InputMessage(role="user", content=text)] if text else []


def _given_items(body: ResponseRequest) -> Sequence[InputItem]:
    if body.previous_response_id:
        raise _nothing_kept("previous_response_id")
    if isinstance(body.input, str):
        return said(body.input)
    for index, item in enumerate(body.input):
        if isinstance(item, ItemReference):
            raise _nothing_kept(f"input[{index}].id")
    return body.input


def _nothing_kept(param: str) -> HTTPError:
    what = f"{param}: nothing is kept here to go on from; send the whole conversation as input"
    return HTTPError(400, what, code="invalid_value", param=param)


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
