"""The one protocol that every runtime speaks: token ids in, token ids out.

A `Runtime` opens an artifact on a device and gives an `Engine`; an engine starts
`Generation`s, and a generation is an iterator of token ids.  Text, templates and stop
strings live above this line (aipc.generate), vendor packages below it (one file each).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from aipc.artifact.lora import Factors
from aipc.errors import UsageError
from aipc.options import describe
from aipc.runtimes.grammars.grammar import ContextFreeGrammar
from aipc.runtimes.sampling import Sampling

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Constraint:
    """What the text of an answer must match, whole, from its first character to its last.

    The runtime enforces it a token at a time, on the text that its own tokenizer files make
    of the tokens.  It fails closed: where it can't be enforced there is no answer.
    """

    kind: Literal["json_schema", "regex"]
    text: str = ""
    """The regular expression."""
    grammar: ContextFreeGrammar | None = None
    """Of the texts that fit the schema."""

    def __post_init__(self) -> None:
        if (self.kind == "json_schema") != (self.grammar is not None):
            raise TypeError("a schema has a grammar, and a regular expression has none")


@dataclass(frozen=True)
class Decoding:
    """What an engine takes: a `Sampling` with every value resolved, and more.

    The first names are those of `Sampling`, the values already checked; the defaults change
    nothing.
    """

    max_new_tokens: int
    temperature: float = 0.0
    """0 is greedy: then ``top_p``, ``top_k``, ``min_p`` and ``seed`` have no effect."""
    top_p: float = 1.0
    """In (0, 1]; 1 is off."""
    top_k: int = 0
    """0 is off."""
    min_p: float = 0.0
    """0 is off, 1 leaves the likeliest token alone."""
    repetition_penalty: float = 1.0
    """1 is off; counts the tokens of the prompt and of the answer, also when greedy."""
    presence_penalty: float = 0.0
    """0 is off; counts the tokens of the answer, also when greedy."""
    frequency_penalty: float = 0.0
    """0 is off; counts the tokens of the answer, also when greedy."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """(token id, what is added to its score), also when greedy."""
    seed: int = 0
    """32 bits."""
    constraint: Constraint | None = None
    logprobs: bool = False
    """Whether `Generation.logprobs` is wanted."""
    top_logprobs: int = 0
    """How many of each `Generation.top_logprobs` are wanted; goes with ``logprobs``."""
    whole: bool = False
    """Nobody looks at the tokens as they come: they may be given many at a time."""
    adapter: str = ""
    """The name of one of the adapters that the engine was opened with; "": none."""


Alternatives = tuple[tuple[int, float], ...]
"""(token id, natural logarithm of its probability) of the likeliest, the likeliest first."""
MOST_ALTERNATIVES = 20


MERGE_ADAPTER = "merge it: aipc convert MODEL --adapter DIR, with the checkpoint as MODEL"
"""What to do where an adapter can't be taken at run time."""
SAMPLING = frozenset(declared.name for declared in describe(Sampling))
"""Names of all options of `Sampling`."""


@dataclass(frozen=True)
class Capabilities:
    """What a runtime can do on one kind of device: declared, never found out by exceptions."""

    runtime: str
    """Its name, as in ``--runtime``."""
    formats: frozenset[str]
    """Kinds of artifact that it opens, as in `aipc.json`'s target: "openvino" …"""
    concurrent: bool
    """Whether one engine runs several generations at once."""
    sampling: frozenset[str] = SAMPLING
    """Names of the fields of `Sampling` that it honors."""
    constraints: frozenset[str] = frozenset()
    """The kinds of `Constraint` that it enforces."""
    logprobs: bool = False
    """Whether it gives the probability of each token that it chose, and of its alternatives."""
    logits: bool = False
    """Whether it gives the scores of all tokens at every position of a text."""
    adapters: bool = False
    """Whether it takes LoRA adapters while it runs, another one for each request."""

    def check_adapters(self) -> None:
        """Refuse adapters, before anything is loaded, where this runtime takes none.

        Raises:
            UsageError: saying so.
        """
        if not self.adapters:
            raise UsageError(
                f"the runtime '{self.runtime}' takes no adapters on this device while it runs",
                MERGE_ADAPTER,
            )

    def check_decoding(self, requested: Decoding) -> None:
        """Refuse, before any work, what this runtime has not: no option is dropped silently.

        Raises:
            UsageError: naming what was requested and what it has instead.
        """
        self._check_sampling(requested)
        constraint = requested.constraint
        if constraint is not None and constraint.kind not in self.constraints:
            raise UsageError(
                f"the runtime '{self.runtime}' can't enforce a {constraint.kind} on this device",
                f"it enforces {', '.join(sorted(self.constraints)) or 'none'}; choose another "
                "with --runtime or --device",
            )
        if requested.logprobs and not self.logprobs:
            raise UsageError(
                f"the runtime '{self.runtime}' gives no probabilities of tokens on this device",
                "leave logprobs out, or choose another with --runtime or --device",
            )
        if not 0 <= requested.top_logprobs <= MOST_ALTERNATIVES:
            raise UsageError(
                f"top_logprobs can't be {requested.top_logprobs}",
                f"it is 0 to {MOST_ALTERNATIVES}",
            )

    def check_logits(self) -> None:
        """Refuse to judge a text where this runtime gives the last position's scores alone.

        Raises:
            UsageError: saying so.
        """
        if not self.logits:
            raise UsageError(
                f"the runtime '{self.runtime}' gives no probabilities of a prompt on this device",
                "leave out echo or logprobs, or choose another with --runtime or --device",
            )

    def _check_sampling(self, requested: Decoding) -> None:
        for declared in describe(Sampling):
            neutral = getattr(Decoding, declared.name, declared.default)
            is_neutral = getattr(requested, declared.name) == neutral
            if not is_neutral and declared.name not in self.sampling:
                raise UsageError(
                    f"the runtime '{self.runtime}' does not honor {declared.flag} on this device",
                    f"leave it at {neutral}, or choose another with --runtime or --device",
                )


def check_adapter(name: str, loaded: Collection[str]) -> None:
    """Refuse an adapter that an engine was not opened with.

    Raises:
        UsageError: naming those that it was.
    """
    if name and name not in loaded:
        fix = f"choose one of {', '.join(loaded)}" if loaded else "load the model with it"
        raise UsageError(f"no adapter is called '{name}' here", fix)


class Generation(Protocol):
    """One request under way: an iterator of token ids.

    It yields at most ``max_new_tokens`` ids.  A stop id, when the model produces one, is
    yielded too, as the last.  The work may be done inside ``__next__`` or by a thread of
    the runtime's own; dropping a generation without `cancel` may leave it running.

    One thread at a time iterates.  ``__next__`` raises EngineError, with the vendor's
    error as its cause, when the runtime fails; after that, after a stop id and after
    `cancel`, it raises StopIteration for ever.
    """

    def __iter__(self) -> Iterator[int]: ...

    def __next__(self) -> int: ...

    @property
    def logprobs(self) -> Sequence[float]:
        """Natural logarithm of the probability of each token yielded so far, in their order.

        Of the model's own distribution over its whole vocabulary: a softmax of its scores
        before logit_bias, penalties, temperature, top_k, top_p and constraint.  Empty where
        ``Decoding.logprobs`` did not ask for it.
        """

    @property
    def top_logprobs(self) -> Sequence[Alternatives]:
        """For each token yielded so far the likeliest ones at its place, by that distribution.

        Only where ``Decoding.top_logprobs`` asks for some.
        """

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompt that were computed for an earlier one; 0 too where none is told.

        Known when a token has been yielded.
        """

    def cancel(self) -> None:
        """End the request and give back what it holds; from any thread, any number of times.

        Returns without waiting for a token under way.  The iteration ends at the next
        token boundary: at most the token being computed is still yielded.  Never raises
        for a generation that has ended already.
        """


class Engine(Protocol):
    """A model loaded on a device.

    `start` and `close` may be called from any thread.
    """

    @property
    def device(self) -> str:
        """The device that runs, as the vendor names it: "CPU", "GPU.0"."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is stated about it, ready for JSON: runtime, version, device, properties."""

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> Generation:
        """Begin to answer ``prompt`` (token ids, at least one) and return soon.

        The prompt is computed by the time the first token is yielded, not necessarily
        here.  Where `Capabilities.concurrent` is true any number of generations run at
        once, each iterated in whatever thread, and all advance; where it is false a
        second one is refused while the first has neither ended nor been cancelled.

        Raises:
            UsageError: for a constraint that is no valid schema or expression, or can't be
                enforced with this artifact or these properties; for an unknown adapter.
            EngineError: for an empty prompt, a second generation where only one can run,
                a closed engine, or a request that the vendor's runtime refuses.
        """

    def scores(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """What a `Scorer` of the same model and properties gives for ``ids``; from any thread.

        Only where `Capabilities.logits` is true.  The model may be loaded once more for it, at
        the first call.

        Raises:
            EngineError: as `Scorer.logits`.
        """

    def close(self) -> None:
        """Cancel what runs and free the model and the device; a second call does nothing."""


class Scorer(Protocol):
    """A model loaded to judge texts: the scores of every token at every position of a sequence."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is stated about it, ready for JSON: runtime, version, device, properties."""

    def logits(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """Unnormalized log-probabilities of what follows each of ``ids``, in pieces, in order.

        A piece is float32 [places, vocabulary] and holds few enough places to be small beside
        the model; the pieces together have one row for each of ``ids``.  A sequence starts
        with an empty cache.  One sequence at a time; one thread at a time.

        Raises:
            EngineError: no tokens, tokens outside the vocabulary, a closed scorer, or the
                vendor's runtime failed.
        """

    def close(self) -> None:
        """Free the model and the device; a second call does nothing."""


class Runtime(Protocol):
    """A vendor's stack, or the fake."""

    @property
    def name(self) -> str:
        """As in ``--runtime``."""

    @property
    def kinds(self) -> frozenset[str]:
        """Families of devices that it can address: "cpu", "gpu", "npu", "cuda" …"""

    def capabilities(self, kind: str) -> Capabilities:
        """What it can do on one of its ``kinds``; loads no vendor package."""

    def open(
        self,
        artifact: Path,
        device: str,
        properties: Mapping[str, str],
        adapters: Mapping[str, Factors] | None = None,
    ) -> Engine:
        """Load the artifact folder on ``device`` ("cpu", "gpu.0"), with vendor properties.

        ``adapters`` can be chosen by their names (`Decoding.adapter`), where
        `Capabilities.adapters` is true.

        Raises:
            ArtifactError: the folder is not one that this runtime opens.
            DeviceError: this machine has no such device, or the package is not installed.
            UsageError: a property that the vendor does not know.
            EngineError: the vendor's runtime failed; its own error is the cause.
        """

    def scorer(self, artifact: Path, device: str, properties: Mapping[str, str]) -> Scorer:
        """Load the artifact to score texts; ``properties`` set its numerics as with `open`.

        Only where `Capabilities.logits` is true.

        Raises:
            AipcError: as `open`; DeviceError where the device gives no scores.
        """
