"""Inputs of batches."""

from __future__ import annotations

import json

CHAT = "/v1/chat/completions"


def line(custom_id="a", prompt="hello", url=CHAT, method="POST", **members):
    """One line, as a text with its end; ``members`` are further ones of the body."""
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], **members}
    return text({"custom_id": custom_id, "method": method, "url": url, "body": body})


def text(value):
    return json.dumps(value) + "\n"


def lines(count):
    return "".join(line(f"id-{number}", f"question {number}") for number in range(count))
