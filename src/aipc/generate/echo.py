"""What a model makes of the prompt itself: its tokens, and how likely each was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aipc.generate.detokenize import Detokenizer
from aipc.generate.events import Echo
from aipc.generate.tokenizer import Tokenizer
from aipc.runtimes.base import Alternatives, Decoding, Engine
from aipc.runtimes.sampler import logprobs_of


def read_echo(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    decoding: Decoding,
    is_cancelled: Callable[[], bool],
) -> Echo | None:
    """The prompt's tokens, with the probabilities that ``decoding`` asks for.

    None where it was cancelled before.

    Raises:
        EngineError: as `Engine.scores`.
    """
    plain = Echo(tokenizer.decode(prompt), tuple(prompt))
    if not decoding.logprobs:
        return plain
    logprobs: list[float | None] = [None]
    top: list[Alternatives] = [()]
    for logprob, alternatives in _judged(engine, prompt, decoding.top_logprobs):
        if is_cancelled():
            return None
        logprobs.append(logprob)
        top.append(alternatives)
    spelled = Detokenizer(tokenizer)
    pieces = tuple(spelled.bytes_of(token) for token in prompt)
    told = map(spelled.alternatives, top if decoding.top_logprobs else ())
    return Echo(plain.prompt, plain.tokens, tuple(logprobs), pieces, tuple(told))


def _judged(
    engine: Engine, prompt: Sequence[int], count: int
) -> Iterator[tuple[float, Alternatives]]:
    """Of each token but the first: its logprob, and the ``count`` likeliest at its place."""
    if len(prompt) > 1:
        following = iter(prompt[1:])
        for rows in engine.scores(prompt[:-1]):
            for scores in rows:
                yield logprobs_of(scores, next(following), count)
