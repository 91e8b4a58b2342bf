"""What a caller asks of a model besides the sampling, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aipc.errors import UsageError
from aipc.generate.prompt import Prompt
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.constraint import constrain
from aipc.generate.structured.tool_format import ToolFormat
from aipc.generate.structured.tools import Tool, Toolbox, choose_tools
from aipc.runtimes.base import Constraint


@dataclass(frozen=True)
class Request:
    """The words are those of `aipc.session.session.Session.stream`."""

    prompt: Prompt
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Tool] = ()
    tool_choice: str = "auto"
    raw: bool = False

    def toolbox(self) -> Toolbox:
        """The tools that the model is offered.

        Raises:
            UsageError: as `choose_tools`, or tools and a schema together.
        """
        toolbox = choose_tools(self.tools, self.tool_choice)
        if toolbox.shown and self.schema is not None:
            raise UsageError(
                "tools and a schema for the answer can't be asked for together",
                'leave one out, or choose "none" as tool_choice',
            )
        return toolbox

    def constraint(self, toolbox: Toolbox, form: ToolFormat) -> Constraint | None:
        """What the answer's text has to be.

        Raises:
            UsageError: a schema that can't be enforced.
        """
        return toolbox.constraint(form) if self.schema is None else constrain(self.schema)


@dataclass(frozen=True)
class Prepared:
    """A request as the engine is asked it; for one answer."""

    tokens: list[int]
    constraint: Constraint | None
    reader: CallReader | None
