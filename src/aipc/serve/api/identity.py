"""What tells one reply, and one server, from another."""

from __future__ import annotations

import secrets

import aipc

FINGERPRINT = f"aipc-{aipc.__version__}"


def new_id(kind: str) -> str:
    """Such as "chatcmpl-0f…"; never given twice."""
    return f"{kind}-{secrets.token_hex(12)}"
