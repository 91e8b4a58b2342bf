"""The NPU computes fixed shapes: how long a prompt and its answer may be is compiled in."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.errors import PromptTooLong
from aipc.options import check, option

STEP = 64
"""OpenVINO's NPU pipeline rounds both lengths up to a multiple of this."""
SHORTEST = 1024
"""Tokens of the smallest automatic shape, prompt and answer each: the vendor's own default for
a prompt, and the default of ``max_new_tokens``."""
LONGEST = 8192
"""Tokens of the largest automatic prompt.  A longer one may be requested by name."""


@dataclass(frozen=True)
class NpuOptions:
    """The static-shape settings of the NPU; None leaves one to the requests.

    Their meaning: docs.openvino.ai, "Run LLMs with OpenVINO GenAI on NPU".
    """

    max_prompt_len: int | None = option(
        None, "NPU: longest prompt, in tokens; without it, sized from the requests", minimum=1
    )
    min_response_len: int | None = option(
        None, "NPU: room for the answer, in tokens; without it, sized from the requests", minimum=1
    )
    prefill_hint: str | None = option(
        None,
        "NPU: dynamic computes a prompt in chunks, static in one piece",
        choices=("dynamic", "static"),
    )
    generate_hint: str | None = option(
        None,
        "NPU: fast-compile, or best-perf: slower to compile, faster tokens",
        choices=("fast-compile", "best-perf"),
    )

    def __post_init__(self) -> None:
        check(self)

    def context(self, model: int) -> int:
        """Tokens of prompt and answer together, of a model that can hold ``model``."""
        if self.max_prompt_len is None or self.min_response_len is None:
            return model
        return min(model, _rounded(self.max_prompt_len) + _rounded(self.min_response_len))


@dataclass(frozen=True)
class Shape:
    """Two lengths in tokens, both multiples of `STEP`."""

    prompt: int
    response: int

    @property
    def capacity(self) -> int:
        """Tokens of a prompt and its answer together: a short prompt leaves room for more."""
        return self.prompt + self.response

    def holds(self, prompt: int, answer: int) -> bool:
        return prompt <= self.prompt and prompt + answer <= self.capacity

    def __or__(self, other: Shape) -> Shape:
        """The smallest that holds whatever either holds."""
        return Shape(max(self.prompt, other.prompt), max(self.response, other.response))


def smallest_shape(options: NpuOptions, context: int) -> Shape:
    """The one to begin with, before any request is known."""
    return fitting_shape(1, 1, options, context)


def fitting_shape(prompt: int, answer: int, options: NpuOptions, context: int) -> Shape:
    """The smallest shape for a request of so many tokens; ``context`` is the model's.

    Raises:
        PromptTooLong: for the fixed shape, or for the largest automatic one.
    """
    response = options.min_response_len and _rounded(options.min_response_len)
    if options.max_prompt_len is not None:
        length = _rounded(options.max_prompt_len)
    else:
        # Where the answer's room is fixed, what it lacks is given to the prompt's.
        needed = prompt if response is None else max(prompt, prompt + answer - response)
        length = _bucket(needed, context)
    if prompt > length:
        raise _too_long(prompt, length, options)
    return Shape(length, response or _response(answer, length, context))


def _bucket(length: int, context: int) -> int:
    """1,024, 2,048, 4,096 … up to `LONGEST` or the context."""
    largest = min(LONGEST, _rounded(context))
    bucket = SHORTEST
    while bucket < length:
        bucket *= 2
    return min(bucket, largest)


def _response(answer: int, prompt: int, context: int) -> int:
    room = SHORTEST
    while room < answer:
        room *= 2
    return max(min(room, _rounded(context) - prompt), STEP)


def _too_long(prompt: int, length: int, options: NpuOptions) -> PromptTooLong:
    what = f"the prompt has {prompt:,} tokens and the NPU takes at most {length:,}"
    least = _rounded(prompt)
    if options.max_prompt_len is None:
        fix = f"shorten it, ask for --max-prompt-len {least}, or allow --overflow cpu"
    else:
        fix = f"shorten it, raise --max-prompt-len to {least}, or allow --overflow cpu"
    return PromptTooLong(what, fix)


def _rounded(length: int) -> int:
    return -(-length // STEP) * STEP
