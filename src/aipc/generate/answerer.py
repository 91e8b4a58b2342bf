"""What answers prompts: a session of this process, or one on a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aipc.generate.events import Event, Reply, collect
from aipc.generate.prompt import Prompt

if TYPE_CHECKING:
    from typing_extensions import Self


class Answerer(ABC):
    """A context manager that closes itself; the whole answer is a fold over the streamed one."""

    @abstractmethod
    def stream(self, prompt: Prompt, **options: Any) -> Iterator[Event]:
        """Answer as an iterator of events, a `Finished` at last."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds."""

    def generate(self, prompt: Prompt, **options: Any) -> Reply:
        """The whole answer; arguments and errors are those of `stream`."""
        return collect(self.stream(prompt, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
