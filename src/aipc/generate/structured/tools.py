"""The tools that a model is offered, and what it may or must do with them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aipc.errors import UsageError
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.constraint import Enforced, constrain, constrain_either
from aipc.generate.structured.schema import Schema, check, checked, moved
from aipc.generate.structured.tool_format import ToolFormat
from aipc.runtimes.grammars.grammar import Node, Word, chain, optional, repeat

Tool = Mapping[str, Any]
"""{"type": "function", "function": {"name", "description", "parameters"}}, as OpenAI writes it."""

MAX_TOOLS = 128
MAX_CALLS = 8
"""Of one answer, where it has to be calls or fit a schema."""
MAX_CHARACTERS = 2**18
"""Of all definitions together, as JSON."""
NAME = re.compile(r"[\w.:/@-]{1,128}")
"""OpenAI's API has letters, digits, _ and - alone; names of MCP servers' tools have more."""
_NO_KEY = re.compile(r"[^A-Za-z0-9_-]")
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True)
class Toolbox:
    """Tools that were found sound."""

    shown: tuple[dict[str, Any], ...] = ()
    """In OpenAI's form, plain JSON."""
    forced: tuple[str, ...] = ()
    """The answer has to be a call of one of these; empty leaves it to the model."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(tool["function"]["name"] for tool in self.shown)

    def enforced(
        self, form: ToolFormat, schema: Schema | None, *, strict: bool = True
    ) -> Enforced | None:
        """What makes the answer a forced call, or a text that fits ``schema`` unless it is a call.

        A forced call is nothing but its JSON, for the prompt ends with what opens it.

        Raises:
            UsageError: as `aipc.generate.structured.constraint.constrain`.
        """
        names = self.forced or tuple(tool["function"]["name"] for tool in self.shown)
        functions = [tool["function"] for tool in self.shown if tool["function"]["name"] in names]
        if self.forced:
            return constrain(_calls_of(functions, form, most=1), strict=strict)
        if schema is None:
            return None
        if not functions:
            return constrain(schema, strict=strict)
        calls = _calls_of(functions, form, most=1 if form.one_call else MAX_CALLS)
        return constrain_either(schema, calls, lambda call: _around(call, form), strict=strict)

    def reader(self, form: ToolFormat) -> CallReader | None:
        """What finds the calls in one answer."""
        if not self.shown:
            return None
        if self.forced:
            return CallReader.of_constrained(form, self.names)
        return CallReader(form, self.names)


def choose_tools(tools: Sequence[Tool], choice: str) -> Toolbox:
    """Check ``tools`` and apply ``choice``: "auto", "none", "required" or a tool's name.

    Raises:
        UsageError: a definition that is none, a name given twice, or a choice that names none.
    """
    if isinstance(tools, (str, Mapping)) or len(tools) > MAX_TOOLS:
        raise UsageError(f"tools are a list of at most {MAX_TOOLS}", "offer fewer")
    sound = tuple(_sound(tool) for tool in tools)
    size = len(json.dumps(sound, ensure_ascii=False))
    if size > MAX_CHARACTERS:
        raise UsageError(
            f"the tools have {size:,} characters, and {MAX_CHARACTERS:,} are allowed",
            "offer fewer, or describe them more briefly",
        )
    names = [tool["function"]["name"] for tool in sound]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two tools are called '{name}'", "give each a name of its own")
    if choice == "none":
        return Toolbox()
    if choice == "auto":
        return Toolbox(sound)
    if choice == "required" and names:
        return Toolbox(sound, tuple(names))
    if choice not in names:
        raise UsageError(
            f"tool_choice is {choice!r:.80}, and no such tool is offered",
            f"choose auto, none, required or one of: {', '.join(names) or 'no tools'}",
        )
    return Toolbox(sound, (choice,))


def _sound(tool: Tool) -> dict[str, Any]:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or tool.get("type") != "function":
        raise UsageError(
            f"a tool is no function: {tool!r:.80}",
            'write {"type": "function", "function": {"name": …, "parameters": …}}',
        )
    name, description = function.get("name"), function.get("description") or ""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(
            f"a tool can't be called {name!r:.80}", "use 1 to 128 letters, digits and _ - . : / @"
        )
    if not isinstance(description, str):
        raise UsageError(f"the description of the tool '{name}' is no text: {description!r:.40}")
    parameters = _parameters(name, function.get("parameters"))
    sound = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": sound}


def _parameters(name: str, given: Any) -> dict[str, Any]:
    with _naming(name):
        parameters = check(_NO_PARAMETERS if given is None else given)
    if parameters.setdefault("type", "object") != "object":
        raise UsageError(
            f"the parameters of the tool '{name}' are of the type {parameters['type']!r:.40}",
            "describe an object with one property for each parameter",
        )
    return parameters


def _defined(function: Mapping[str, Any], key: str) -> Any:
    """The parameters, where they stand in the schema of all calls."""
    with _naming(function["name"]):
        return moved(checked(function["parameters"]), f"#/$defs/{key}")


@contextmanager
def _naming(tool: str) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise UsageError(f"the parameters of the tool '{tool}': {error.what}", error.fix) from error


def _key(name: str, at: int) -> str:
    """A name as a part of a JSON pointer, with its place where it can't be one."""
    key = _NO_KEY.sub("-", name)
    return name if key == name else f"{key}-{at}"


def _calls_of(
    functions: Sequence[Mapping[str, Any]], form: ToolFormat, *, most: int
) -> dict[str, Any]:
    """The schema of a call, or of a list of calls where the family writes lists."""
    keys = [_key(each["name"], at) for at, each in enumerate(functions)]
    pairs = list(zip(keys, functions, strict=True))
    call: dict[str, Any] = {"anyOf": [_call_of(each["name"], key, form) for key, each in pairs]}
    if form.listed:
        call = {"type": "array", "items": call, "minItems": 1, "maxItems": most}
    defined = {key: _defined(each, key) for key, each in pairs}
    return {**call, "$defs": defined}


def _around(call: Node, form: ToolFormat) -> Node:
    """Calls as the model writes them in the midst of a text."""
    space = optional(Word("\n"))
    whole = chain(Word(form.opening), space, call, space, Word(form.end))
    if form.listed or form.one_call:
        return whole
    return chain(whole, repeat(chain(space, whole), 0, MAX_CALLS - 1))


def _call_of(name: str, key: str, form: ToolFormat) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": name},
            form.arguments: {"$ref": f"#/$defs/{key}"},
        },
        "required": ["name", form.arguments],
        "additionalProperties": False,
    }
