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
    if len(body["model"]) % 4:  # and few of those go on from a response that is not there
        body.pop("previous_response_id", None)
    for name in LIMITS:
        if isinstance(body.get(name), int):
            body[name] = min(body[name], LONGEST) if body[name] >= 0 else LONGEST
    if "api" in context.operation.path.split("/"):
        _bound_options(body)
    else:
        body.setdefault("max_output_tokens" if "input" in body else "max_tokens", LONGEST)
    return body


def _bound_options(body):
    """Ollama's limit, where its options are an object or left out."""
    options = body.setdefault("options", {})
    if isinstance(options, dict):
        options["num_predict"] = LONGEST
