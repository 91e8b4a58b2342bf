"""The tools of a request and the choice among them, in the forms of chat and of Responses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, Tag

from aipc.errors import UsageError
from aipc.generate.structured.constraint import constrain
from aipc.generate.structured.tools import MAX_TOOLS, NAME, choose_tools
from aipc.wire.errors import HTTPError
from aipc.wire.openai.formats import Schema
from aipc.wire.openai.schemas import is_left_out
from aipc.wire.refusals import by_member, by_shape
from aipc.wire.schemas import RequestPart

ToolName = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
ToolDefinition = dict[str, Any]
"""As `aipc.generate.structured.tools.Tool`."""

Mode = Literal["none", "auto", "required", "any"]
_MODES = get_args(Mode)
_WORDS = {"auto", "none", "required"}


class FunctionBody(RequestPart):
    name: ToolName
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class Tool(RequestPart):
    type: Literal["function"] | None = None
    function: FunctionBody


class FunctionTool(FunctionBody):
    type: Literal["function"]


class HostedTool(RequestPart):
    """One that runs at OpenAI's servers, or whose calls are none of a function."""

    IS_IGNORED: ClassVar = True

    type: str


def _response_kind(value: dict[str, Any]) -> str | None:
    kind = value.get("type")
    if kind == "function":
        return "function"
    return "hosted" if isinstance(kind, str) and is_left_out(kind) else None


AnyTool = Annotated[
    Annotated[FunctionTool, Tag("=function")] | Annotated[HostedTool, Tag("=hosted")],
    by_member("type", "function", "web_search", "custom", "mcp", pick=_response_kind),
]


class NamedFunction(RequestPart):
    name: ToolName


class NamedTool(RequestPart):
    """Chat has the name in ``function``, Responses beside the type; either is taken in both."""

    type: Literal["function"]
    function: NamedFunction | None = None
    name: ToolName | None = None

    @property
    def chosen(self) -> str | None:
        return self.function.name if self.function else self.name


class ModeChoice(RequestPart):
    """A word for a choice in an object, as Anthropic's API and Mistral's clients write it."""

    type: Mode


class AllowedList(RequestPart):
    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS)]


class AllowedTools(RequestPart):
    """Some of the tools; chat has the list in a member of its own."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedList | None = None
    mode: Literal["auto", "required"] | None = None
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS)] | None = None

    @property
    def listed(self) -> AllowedList:
        return self.allowed_tools or AllowedList(mode=self.mode or "auto", tools=self.tools or [])


def _choice_kind(value: dict[str, Any]) -> str | None:
    kind = value.get("type")
    return "mode" if kind in _MODES else kind if kind in {"function", "allowed_tools"} else None


ChoiceObject = Annotated[
    Annotated[NamedTool, Tag("=function")]
    | Annotated[AllowedTools, Tag("=allowed_tools")]
    | Annotated[ModeChoice, Tag("=mode")],
    by_member("type", "function", "allowed_tools", *_MODES, pick=_choice_kind),
]
ToolChoice = Annotated[
    Annotated[Mode, Tag("=text")] | Annotated[ChoiceObject, Tag("=object")],
    by_shape("text", "object"),
]


def definitions(tools: Sequence[Tool | AnyTool] | None) -> list[ToolDefinition]:
    """The functions among ``tools``.

    Raises:
        HTTPError: 400, two have one name.
    """
    told: dict[str, ToolDefinition] = {}
    for path, function in _functions(tools):
        if function.name in told:
            message = f"two tools are called '{function.name}'; give each a name of its own"
            raise HTTPError(400, message, code="invalid_value", param=f"{path}.name")
        told[function.name] = _definition(function)
    return [*told.values()]


@contextmanager
def naming_part(
    tools: Sequence[Tool | AnyTool] | None,
    schema: Mapping[str, Any] | None,
    at: str,
    *,
    strict: bool,
) -> Iterator[None]:
    """An error of a tool's definition, or of the answer's schema at ``at``, names its path."""
    try:
        yield
    except UsageError:
        for path, function in _functions(tools):
            with _named(f"{path}.parameters"):
                choose_tools([_definition(function)], "auto")
        if schema is not None:
            with _named(at):
                constrain(schema, strict=strict)
        raise


def _functions(tools: Sequence[Tool | AnyTool] | None) -> Iterator[tuple[str, FunctionBody]]:
    for at, tool in enumerate(tools or ()):
        if isinstance(tool, Tool):
            yield f"tools[{at}].function", tool.function
        elif isinstance(tool, FunctionTool):
            yield f"tools[{at}]", tool


def _definition(function: FunctionBody) -> ToolDefinition:
    members = function.model_dump(exclude_none=True, exclude={"type"})
    return {"type": "function", "function": members}


@contextmanager
def _named(param: str) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise HTTPError(400, str(error), code="invalid_value", param=param) from error


def choose(
    choice: ToolChoice | None, tools: Sequence[ToolDefinition]
) -> tuple[list[ToolDefinition], str]:
    """The tools to offer, and the choice among them: "auto", "none", "required" or a name.

    Without tools any choice is "auto".

    Raises:
        HTTPError: 400, a choice of a tool that is not offered.
    """
    if not tools or choice is None:
        return [*tools], "auto"
    if isinstance(choice, str | ModeChoice):
        mode = choice if isinstance(choice, str) else choice.type
        return [*tools], "required" if mode == "any" else mode
    offered = {tool["function"]["name"]: tool for tool in tools}
    named = [choice] if isinstance(choice, NamedTool) else choice.listed.tools
    names = [_checked(each.chosen, offered) for each in named]
    if isinstance(choice, NamedTool):
        return [*tools], names[0]
    return [tool for name, tool in offered.items() if name in names], choice.listed.mode


def _checked(name: str | None, offered: Collection[str]) -> str:
    """The name as a tool choice; it can't be one of the words that choose otherwise."""
    if name is None:
        raise HTTPError(400, "tool_choice names no tool", param="tool_choice")
    if name in _WORDS:
        raise HTTPError(400, f"a tool called '{name}' can't be chosen", param="tool_choice")
    if name not in offered:
        message = f"tool_choice is {name!r:.80}, and no such tool is offered"
        raise HTTPError(400, message, code="invalid_value", param="tool_choice")
    return name
