"""From the times of stacks to those of the whole model, and of work done with it.

A model is blocks that are alike, a head, and a rest that is there once.  Three stacks tell these
apart: a small and a large one differ in blocks alone, a small and a wide one in the head alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aipc.choose.probe.times import PROMPT, DeviceTimes, StackTimes
from aipc.choose.probe.work import KindOfWork
from aipc.convert.network import Network
from aipc.convert.stack import StackSize

_FEW_ROWS = 256
_LARGE = 340_000_000
"""Weights of the large stack's blocks, about: three of Phi-3-mini's.  In 4 bits several times what
a processor's last cache holds, so that they are read from memory, as a whole model's are."""
_WIDE = 25_000_000
"""Weights of the wide stack's head, at most."""


@dataclass(frozen=True)
class StackSizes:
    """Of the three stacks of a network, and what of it is theirs."""

    small: StackSize
    large: StackSize
    wide: StackSize
    layers: int
    vocabulary: int

    def whole(self, of: Callable[[StackTimes], float], times: DeviceTimes) -> float:
        """What the whole model takes, of what its stacks took."""
        small, large, wide = of(times.small), of(times.large), of(times.wide)
        more = self.large.blocks - self.small.blocks
        block = max(large - small, 0.0) / more if more else 0.0
        head = max(wide - small, 0.0) * self.vocabulary / self.wide.rows
        return small + (self.layers - self.small.blocks) * block + head


def stack_sizes(network: Network) -> StackSizes:
    """Stacks large enough to tell, and small enough to be timed in seconds."""
    layers, vocabulary = len(network.blocks), network.embedding.rows
    block = sum(matrix.weights for matrix in network.blocks[0].matrices)
    large = min(layers, max(2, round(_LARGE / block)))
    few = min(vocabulary, _FEW_ROWS)
    return StackSizes(
        small=StackSize(max(1, large // 4), few),
        large=StackSize(large, few),
        wide=StackSize(max(1, large // 4), min(vocabulary, max(few, _WIDE // network.hidden))),
        layers=layers,
        vocabulary=vocabulary,
    )


@dataclass(frozen=True)
class Prediction:
    """Of a whole model on one device; seconds and bytes."""

    load_s: float
    cold_s: float
    """What the first prompt takes more than others."""
    prompt_s: float
    """A token of a prompt."""
    token_s: float
    """A token of an answer."""
    memory: int

    def seconds(self, work: KindOfWork) -> float:
        """What ``work`` takes."""
        start = self.load_s + self.cold_s if work.starts else 0.0
        return start + work.prompt * self.prompt_s + work.tokens * self.token_s


def predict(sizes: StackSizes, times: DeviceTimes, stack_bytes: int, nbytes: int) -> Prediction:
    """The whole model's; ``stack_bytes`` are the large stack's files, ``nbytes`` the model's."""
    prompt_s = sizes.whole(lambda one: one.prompt_s, times)
    cold_s = sizes.whole(lambda one: one.cold_s - one.prompt_s, times)
    return Prediction(
        load_s=times.start_s + sizes.whole(lambda one: one.load_s, times),
        cold_s=cold_s,
        prompt_s=prompt_s / PROMPT,
        token_s=sizes.whole(lambda one: one.token_s, times),
        memory=round(times.memory * nbytes / stack_bytes),
    )
