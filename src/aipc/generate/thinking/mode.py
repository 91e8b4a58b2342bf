"""Whether a model shall think, how much, and how its own switch is set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aipc.errors import UsageError
from aipc.generate.request import GenerationRequest
from aipc.generate.template import ChatTemplate

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
MAX_OPTIONS = 32
MAX_CHARACTERS = 2**14
"""Of all template options together, as JSON."""
_RENDERING = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "documents",
        "max_length",
        "messages",
        "padding",
        "return_dict",
        "return_tensors",
        "tokenize",
        "tools",
        "truncation",
    }
)
"""What rendering sets itself, and arguments of transformers' `apply_chat_template`."""
_SWITCHES = ("enable_thinking", "thinking")
_EFFORT, _BUDGET = "reasoning_effort", "thinking_budget"
_OFF, _ON = "/no_think", "/think"
_HARMONY_EFFORTS = {"minimal": "low", "xhigh": "high"}


@dataclass(frozen=True)
class ThinkingMode:
    """What a chat template is told about thinking, and what is added to what it writes."""

    think: bool | None = None
    """None leaves it to the model."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the template, all of which it reads."""
    command: str = ""
    """What the system message has to end with."""
    is_switched: bool = False
    """The template does it by `options` or `command`."""
    is_open: bool = False
    """The answer has to begin inside thinking, if it thinks."""
    is_stated: bool = False
    """The request says so, and not the kind of answer."""

    def command_in(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages with `command` in their system message."""
        if not self.command:
            return messages
        has_system = messages[0]["role"] == "system"
        text = f"{messages[0]['content']}\n\n{self.command}" if has_system else self.command
        return [{"role": "system", "content": text}, *messages[has_system:]]

    def finish(self, prompt: str, template: ChatTemplate) -> str:
        """``prompt``, as the template wrote it, with thinking opened or closed where it has to be.

        A model without a switch is kept from thinking by an empty block of it.
        """
        marks = template.marks
        if marks is None or self.think is None:
            return prompt
        if self.think:
            is_ready = marks.is_open(prompt) or (self.is_switched and not self.is_open)
            return prompt if is_ready else prompt + marks.opening
        if marks.is_open(prompt):
            return prompt + marks.closing
        is_ready = self.is_switched or not self.is_stated or marks.is_closed(prompt)
        return prompt if is_ready else prompt + marks.opening + marks.closing


DEFAULT_MODE = ThinkingMode()
"""The model's own."""


def choose_mode(
    request: GenerationRequest, template: ChatTemplate, *, is_constrained: bool
) -> ThinkingMode:
    """The mode that ``request`` asks for, by the means that ``template`` has.

    An answer that ``is_constrained`` comes without thinking unless it is asked for.

    Raises:
        UsageError: thinking of a model that has none, contradictions, or options that are none.
    """
    given = request.template_options
    check_options(given)
    stated = _stated(request, given, template)
    think = stated
    if think is None and is_constrained and template.marks is not None:
        think = _is_asked(request, template)
    command = _command(think, template)
    known = {**_switches(think, request, template), **given}
    options = {name: value for name, value in known.items() if name in template.variables}
    is_switched = bool(command) or not options.keys().isdisjoint((*_SWITCHES, _BUDGET))
    return ThinkingMode(think, options, command, is_switched, is_constrained, stated is not None)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what is no plain JSON, has objects in it, or a name that rendering uses itself.

    Raises:
        UsageError: naming the variable.
    """
    for name, value in options.items():
        if name in _RENDERING or name.endswith("_token") or not name.isidentifier():
            raise UsageError(
                f"'{name:.40}' can't be set as a variable of the chat template", "leave it out"
            )
        values = value if isinstance(value, list) else [value]
        if not all(one is None or isinstance(one, (str, int, float, bool)) for one in values):
            raise UsageError(
                f"the template's variable '{name:.40}' is neither a scalar nor a list of them",
                "give a text, a number, true or false",
            )
    size = len(json.dumps(dict(options)))
    if len(options) > MAX_OPTIONS or size > MAX_CHARACTERS:
        raise UsageError(
            f"the template's variables are {len(options)} with {size:,} characters",
            f"give at most {MAX_OPTIONS} with {MAX_CHARACTERS:,} together",
        )


def forbids_thinking(request: GenerationRequest) -> bool:
    """Whether the request says, by whatever member, that nothing is to be thought."""
    return _wanted(request, request.template_options) == {False}


def refuse_thinking(request: GenerationRequest) -> None:
    """For text that no template goes around, where nothing could have a model think.

    Raises:
        UsageError: it is asked for.
    """
    if request.think:
        raise UsageError(
            "text without a chat template has no switch for thinking",
            "leave think out, or send messages to a model made for chat",
        )


def _stated(
    request: GenerationRequest, given: Mapping[str, Any], template: ChatTemplate
) -> bool | None:
    _check_amounts(request.reasoning_effort, request.thinking_budget)
    if request.think and template.marks is None:
        raise UsageError(
            "the model does not think: its chat template has no marks of it",
            "leave think out, or choose a model that thinks",
        )
    stated = _wanted(request, given)
    if len(stated) > 1:
        raise UsageError(
            "the request both asks for thinking and forbids it", "leave one of its options out"
        )
    return stated.pop() if stated else None


def _wanted(request: GenerationRequest, given: Mapping[str, Any]) -> set[bool]:
    """What each of its members says that says anything."""
    is_nothing = request.reasoning_effort == "none" or request.thinking_budget == 0
    wanted = [request.think, *(given.get(name) for name in _SWITCHES)]
    wanted += [False if is_nothing else None]
    return {one for one in wanted if isinstance(one, bool)}


def _is_asked(request: GenerationRequest, template: ChatTemplate) -> bool:
    """Whether it is said how much to think, which is no matter without thinking."""
    reads_effort = _EFFORT in template.variables
    return bool(request.thinking_budget) or (reads_effort and request.reasoning_effort is not None)


def _check_amounts(effort: str | None, budget: int | None) -> None:
    if effort is not None and effort not in EFFORTS:
        raise UsageError(
            f"reasoning_effort is {effort!r:.40}", f"choose one of: {', '.join(EFFORTS)}"
        )
    if budget is not None and budget < 0:
        raise UsageError(f"thinking_budget is {budget:,}", "give 0 tokens or more")


def _switches(
    think: bool | None, request: GenerationRequest, template: ChatTemplate
) -> dict[str, Any]:
    """Variables that templates are known to read."""
    effort, budget = request.reasoning_effort, request.thinking_budget
    known: dict[str, Any] = {} if think is None else dict.fromkeys(_SWITCHES, think)
    if think is False:
        known[_BUDGET] = 0
    elif budget is not None:
        known[_BUDGET] = budget
    names_none = template.has("'none'") or template.has('"none"')
    if effort is not None and (effort != "none" or names_none):
        is_harmony = template.marks is not None and template.marks.name == "harmony"
        known[_EFFORT] = _HARMONY_EFFORTS.get(effort, effort) if is_harmony else effort
    return known


def _command(think: bool | None, template: ChatTemplate) -> str:
    if think is None or not template.has(_OFF):
        return ""
    has_variable = not template.variables.isdisjoint(_SWITCHES)
    return "" if has_variable else _ON if think else _OFF
