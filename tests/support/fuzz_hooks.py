"""Schemathesis' requests made worth answering: most ask for a model that is there, briefly."""

from __future__ import annotations

import os

import schemathesis

MODEL = os.environ["AIPC_FUZZ_MODEL"]
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
LONGEST = 4


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return body
    if len(body["model"]) % 8:  # the others ask for what nobody has
        body["model"] = MODEL
    for name in LIMITS:
        if isinstance(body.get(name), int):
            body[name] = min(body[name], LONGEST)
    body.setdefault("max_output_tokens" if "input" in body else "max_tokens", LONGEST)
    return body
