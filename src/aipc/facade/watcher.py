"""What a program wants to be told of each token: a streamer, and criteria for stopping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aipc.generate import Stream, Text

if TYPE_CHECKING:
    import torch


class Watcher:
    """Reads answers, and tells transformers' streamer and stopping criteria; both may be None."""

    def __init__(self, streamer: Any, criteria: Any) -> None:
        self._streamer = streamer
        self._criteria = list(criteria or ())

    def begin(self, prompt: torch.Tensor) -> None:
        if self._streamer is not None:
            self._streamer.put(prompt.cpu())

    def read(self, row: Sequence[int], stream: Stream) -> list[int]:
        """The ids of the answer to ``row``, to its end or until a criterion is met.

        Raises:
            EngineError: as ``stream``.
        """
        answer: list[int] = []
        try:
            for event in stream:
                for token in event.tokens if isinstance(event, Text) else ():
                    answer.append(token)
                    if self._is_enough(row, answer):
                        return answer
        finally:
            stream.close()
        return answer

    def end(self) -> None:
        if self._streamer is not None:
            self._streamer.end()

    def _is_enough(self, row: Sequence[int], answer: Sequence[int]) -> bool:
        import torch

        if self._streamer is not None:
            self._streamer.put(torch.tensor(answer[-1:]))
        if not self._criteria:
            return False
        so_far = torch.tensor([[*row, *answer]])
        return any(bool(torch.as_tensor(met(so_far, None)).all()) for met in self._criteria)
