"""Who is next: turns go round among clients, and each client's own asks keep their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from aipc.serve.pool.pending_request import PendingRequest


class FairQueue:
    """Requests that wait, by client: one client with a hundred of them delays nobody else's."""

    def __init__(self) -> None:
        self._clients: dict[str, deque[PendingRequest]] = {}  # in the order of their turns

    def __len__(self) -> int:
        return sum(map(len, self._clients.values()))

    def join(self, visit: PendingRequest) -> None:
        self._clients.setdefault(visit.ask.client, deque()).append(visit)

    def take(self) -> PendingRequest:
        """The next one, out of the line; its client's other asks come after all the others'."""
        client = next(iter(self._clients))
        own = self._clients.pop(client)
        visit = own.popleft()
        if own:
            self._clients[client] = own
        return visit

    def leave(self, visit: PendingRequest) -> bool:
        """Whether it was still in the line."""
        own = self._clients.get(visit.ask.client)
        if own is None or visit not in own:
            return False
        own.remove(visit)
        if not own:
            del self._clients[visit.ask.client]
        return True

    def in_order(self) -> Iterator[PendingRequest]:
        """All of them as they will be taken, if nobody joins or leaves."""
        waiting = [deque(own) for own in self._clients.values()]
        while waiting:
            yield from (own.popleft() for own in waiting)
            waiting = [own for own in waiting if own]
