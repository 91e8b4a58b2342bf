"""/v1/responses: OpenAI's newer form of chat, whose answers are kept in memory for a while."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from aipc.serve.api.dispatch import Dispatcher, client_of
from aipc.serve.openai.answers import answer_exchange
from aipc.serve.openai.stored import ResponseStore, StoredResponse, not_here, owner_of
from aipc.wire.openai.items import InputItem, ItemReference
from aipc.wire.openai.responses import ResponseExchange, said
from aipc.wire.openai.responses_schemas import ResponseBody, ResponseRequest
from aipc.wire.schemas import new_id, read

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
        keep = None if body.store is False else partial(self._keep, owner, items)
        exchange = ResponseExchange(body, client_of(request), items, keep)
        return await answer_exchange(self._dispatcher, request, exchange)

    def _items(self, owner: str, body: ResponseRequest) -> list[InputItem]:
        """The whole input: what came before it, and kept items in the place of references."""
        before = self._store.items_before(owner, body.previous_response_id or "")
        items = _READ(before)
        if isinstance(body.input, str):
            return [*items, *said(body.input)]
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
