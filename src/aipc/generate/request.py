"""A request for one answer, as it is from the first room to the last but the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aipc.generate.conversation import Message


@dataclass(frozen=True)
class GenerationRequest:
    """One answer wanted, in plain data: as JSON it crosses a pipe and comes out equal.

    Exactly one of ``messages``, ``prompt``, ``prompt_ids`` and ``texts`` is given.  Nothing is
    checked here: the session refuses what it can't do.
    """

    messages: Sequence[Message] | None = None
    """A conversation in OpenAI's form."""
    prompt: str | None = None
    """A text: one user message where the model has a chat template, unless ``raw``."""
    prompt_ids: Sequence[int] = ()
    """Token ids, continued as they are."""
    suffix: str | None = None
    """What comes behind the answer, for models with tokens to fill in the middle."""
    echo: bool = False
    """Give the prompt's tokens first, as if the model had answered them."""
    raw: bool = False
    """Continue the prompt as it is, without the model's chat template."""
    continue_final_message: bool = False
    """The last message is the assistant's, and the answer goes on where its text ends."""
    count_only: bool = False
    """Generate nothing: the `Finished` tells the prompt's tokens."""
    tell_prompt: bool = False
    """Have the server tell the prompt's tokens before the answer as well."""
    texts: Sequence[str] = ()
    """Texts to embed or, with a ``query``, to score by it, by a model that does that."""
    query: str | None = None
    """What the ``texts`` are to answer."""
    prompt_name: str | None = None
    """The kind that texts to embed are of, such as "query"; None is the model's default."""
    truncate: bool = False
    """Leave out the end of texts that are too long, and tell of which."""
    dimensions: int | None = None
    """Numbers in each vector; None leaves it to the model."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `aipc.runtimes.base.Sampling`; what is left out is the model's own choice."""
    stop: Sequence[str] = ()
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str = "auto"
    strict: bool = True
    """Refuse what of the schema and of the tools can't be enforced; without it the finished answer
    is checked."""
    think: bool | None = None
    """Think before the answer, or not; None is the model's own choice."""
    reasoning_effort: str | None = None
    """How much to think: none, minimal, low, medium, high or xhigh."""
    thinking_budget: int | None = None
    """Most tokens of thinking; then the mark of its end is forced."""
    template_options: Mapping[str, Any] = field(default_factory=dict)
    """More variables of the chat template."""
    ignore_eos: bool = False
    """Go on past the model's stop ids, to the limit."""
    logprobs: bool = False
    top_logprobs: int = 0
    """Alternatives told beside each token, the likeliest first."""
    whole: bool = False
    """Nobody reads it while it is made: its events may be few and late."""
    repetition_detection: Mapping[str, int] | None = None
    """Fields of `aipc.generate.RepetitionDetection`: a loop ends the answer; None: it goes on."""
    adapter: str = ""
    """The name of one of the adapters that the model was loaded with."""
    client: str = field(default="", repr=False)
    """Whose it is: turns go round among clients.  It never leaves the server's process."""
