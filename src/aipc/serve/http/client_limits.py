"""How long a server waits for its clients, and how many of them it has at once."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.options import check, option

BODY_BYTES_S = 500
"""Bytes of a body for each of which seconds a client has one more: as slow as a modem."""


@dataclass(frozen=True)
class ClientLimits:
    head_s: float = option(
        15.0, "seconds that a client has to send the head of a request", minimum=0.1
    )
    body_s: float = option(
        30.0, "seconds that it has to send the body, and one more for every 500 bytes", minimum=0.1
    )
    unread_s: float = option(
        300.0, "seconds after which an answer that its client does not read is ended", minimum=0.1
    )
    max_connections: int = option(
        2048,
        "connections at once, if the system allows as many; for more, idle ones are closed",
        minimum=1,
    )

    def __post_init__(self) -> None:
        check(self)
