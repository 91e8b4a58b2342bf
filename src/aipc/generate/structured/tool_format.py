"""How a model family receives tools and how its calls stand in its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from aipc.tables import read_table


@dataclass(frozen=True)
class ToolFormat:
    """One family's way; what each field may hold is said in tool_formats.toml."""

    name: str
    source: str
    sign: tuple[str, ...]
    begin: str
    end: str
    arguments: str
    listed: bool
    shown: Literal["template", "field", "message"]
    turns: Literal["template", "text"]
    bare: bool = False
    one_call: bool = False
    short_ids: bool = False
    result_role: str = "tool"
    result_form: str = "{result}"
    instruction: str = ""

    @property
    def opening(self) -> str:
        """What the answer begins with before the JSON of a call."""
        return "" if self.bare else self.begin

    def write(self, functions: Sequence[Mapping[str, Any]]) -> str:
        """Calls as the model would write them; ``arguments`` are objects."""
        calls = [
            {"name": each["name"], self.arguments: each.get("arguments", {})} for each in functions
        ]
        bodies = [calls] if self.listed else calls
        return "\n".join(
            f"{self.opening}{json.dumps(body, ensure_ascii=False)}{self.end}" for body in bodies
        )

    def result(self, content: str) -> str:
        """What a tool gave back, as the model reads it."""
        return self.result_form.replace("{result}", content)


def format_of(template: str | None, *, is_for_tools: bool = False) -> ToolFormat:
    """The format that a chat template shows that its model was trained on.

    A template that takes tools in a form not known here is handled as one without tools: a
    system message says to the model how to call them.  One that ``is_for_tools`` and nothing else
    writes them itself, whatever its form is.
    """
    *known, other = _FORMATS
    for form in known:
        if template is not None and all(sign in template for sign in form.sign):
            return form
    return replace(other, shown="template", turns="template") if is_for_tools else other


def _read() -> tuple[ToolFormat, ...]:
    rows = read_table(__package__ or "", "tool_formats.toml")["format"]
    return tuple(ToolFormat(**{**row, "sign": tuple(row["sign"])}) for row in rows)


_FORMATS = _read()
