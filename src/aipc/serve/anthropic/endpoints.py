"""The paths of Anthropic's API."""

from __future__ import annotations

from functools import partial

from aipc.serve.anthropic.errors import anthropic_error
from aipc.serve.anthropic.messages import answer_message, count_tokens
from aipc.serve.anthropic.schemas import (
    AnthropicErrorBody,
    CountRequest,
    MessageBody,
    MessageRequest,
    TokenCount,
)
from aipc.serve.api.dispatch import Dispatcher
from aipc.serve.api.endpoint import GENERATION_ERRORS, Endpoint


def endpoints(dispatcher: Dispatcher) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "POST",
            "/v1/messages",
            partial(answer_message, dispatcher),
            "The next message of a conversation, in Anthropic's form.",
            body=MessageRequest,
            returns=MessageBody,
            streams=True,
            errors=GENERATION_ERRORS,
            error_shape=anthropic_error,
            error_body=AnthropicErrorBody,
        ),
        Endpoint(
            "POST",
            "/v1/messages/count_tokens",
            partial(count_tokens, dispatcher),
            "How many tokens the prompt of such a request has.",
            body=CountRequest,
            returns=TokenCount,
            errors=GENERATION_ERRORS,
            error_shape=anthropic_error,
            error_body=AnthropicErrorBody,
        ),
    )
