"""Responses kept in memory for a while, so that the next request can go on from one by its id."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.serve.http.connection import json_response
from aipc.wire.errors import HTTPError
from aipc.wire.openai.responses_schemas import DeletedResponse, ItemList

MAX_RESPONSES = 1024
MAX_BYTES = 64 * 2**20
"""Of all together, as JSON; a conversation that goes on counts again with each turn."""
_REMEDY = "it was never kept, or has been let go; send the whole conversation as input"

Item = dict[str, Any]
Owner = Callable[[Request], str]
"""Tells whose a request is."""


@dataclass(frozen=True)
class StoredResponse:
    input: list[Item]
    """All items that it was made from, those of the responses before it too."""
    body: str
    """The response as JSON."""

    @property
    def output(self) -> list[Item]:
        items: list[Item] = json.loads(self.body)["output"]
        return items

    @property
    def nbytes(self) -> int:
        return len(self.body) + len(json.dumps(self.input))


class ResponseStore:
    """The least recently used are let go; each is its owner's alone, and none is on the disk."""

    def __init__(self, max_responses: int = MAX_RESPONSES, max_bytes: int = MAX_BYTES) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[StoredResponse, int]] = OrderedDict()
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._nbytes = 0

    def keep(self, owner: str, response_id: str, response: StoredResponse) -> None:
        nbytes = response.nbytes
        if nbytes > self._max_bytes:
            return
        self._kept[owner, response_id] = response, nbytes
        self._nbytes += nbytes
        while self._nbytes > self._max_bytes or len(self._kept) > self._max_responses:
            self._nbytes -= self._kept.popitem(last=False)[1][1]

    def find(self, owner: str, response_id: str) -> StoredResponse | None:
        found = self._kept.get((owner, response_id))
        if found is None:
            return None
        self._kept.move_to_end((owner, response_id))
        return found[0]

    def drop(self, owner: str, response_id: str) -> bool:
        _, nbytes = self._kept.pop((owner, response_id), (None, 0))
        self._nbytes -= nbytes
        return nbytes > 0

    def items_before(self, owner: str, response_id: str) -> list[Item]:
        """What a response was made from, and what it answered; nothing before no response.

        Raises:
            HTTPError: 400, it is not here.
        """
        if not response_id:
            return []
        found = self.find(owner, response_id)
        if found is None:
            code = "previous_response_not_found"
            raise not_here("previous response", response_id, code, "previous_response_id")
        return [*found.input, *found.output]

    def item(self, owner: str, item_id: str) -> Item | None:
        """An item that some kept response has or was made from, by its id."""
        for (whose, _), (response, _) in reversed(self._kept.items()):
            if whose == owner:
                items = response.output if item_id in response.body else []
                for item in (*items, *response.input):
                    if item["id"] == item_id:
                        return item
        return None


class StoredResponses:
    """The paths of what is kept."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    async def one(self, request: Request) -> Response:
        headers = {"Cache-Control": "no-store"}
        return Response(self._find(request).body, media_type="application/json", headers=headers)

    async def items(self, request: Request) -> Response:
        items = [*self._find(request).input]
        if request.query_params.get("order") != "asc":
            items.reverse()
        ids = [str(item["id"]) for item in items]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        return json_response(
            ItemList(object="list", data=items, first_id=first, last_id=last, has_more=False)
        )

    async def delete(self, request: Request) -> Response:
        response_id = request.path_params["response"]
        if not self._store.drop(owner_of(request), response_id):
            raise _not_kept(response_id)
        return json_response(DeletedResponse(id=response_id, object="response", deleted=True))

    def _find(self, request: Request) -> StoredResponse:
        response_id = request.path_params["response"]
        found = self._store.find(owner_of(request), response_id)
        if found is None:
            raise _not_kept(response_id)
        return found


def owner_of(request: Request) -> str:
    """Whoever shows the same key; without keys, everyone who may use the server."""
    headers = request.headers
    shown = headers.get("authorization") or f"Bearer {headers.get('x-api-key', '')}"
    return hashlib.sha256(shown.encode()).hexdigest()


def _not_kept(response_id: str) -> HTTPError:
    return HTTPError(404, f"the response '{response_id:.80}' is not here", code="not_found")


def not_here(what: str, its_id: str, code: str, param: str) -> HTTPError:
    """An error for what ``param`` refers to."""
    message = f"the {what} '{its_id:.80}' is not here: {_REMEDY}"
    return HTTPError(400, message, code=code, param=param)
