"""A conversation in OpenAI's form, made into what a chat template understands."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aipc.errors import GenerationError, UsageError
from aipc.generate.structured.tool_format import ToolFormat

Message = Mapping[str, Any]
"""{"role": "system" | "user" | "assistant" | "tool" …, "content": text, …}, as OpenAI writes it.

``content`` may be a list of {"type": "text", "text": …}; an assistant's message may have
``tool_calls`` and a tool's has the ``tool_call_id`` that it answers.
"""

INVALID_JSON = "INVALID_JSON"
"""Key of arguments that are no object, as Anthropic advises for replaying them: "Fine-grained tool
streaming" in its documentation of tool use."""
THINKING_KEYS = ("reasoning_content", "reasoning", "thinking")
"""What messages call it that an answer had been thought over; vLLM and Ollama have the others."""
_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")


def plain(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Copies of plain JSON types: objects have methods that a template could call.

    Keys with None are left out, as newer transformers do; templates would write "None".

    Raises:
        GenerationError: no messages, a message without a role, or something that is no JSON.
    """
    if not messages:
        raise GenerationError("the conversation is empty", "give at least one message")
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise GenerationError(
                f"a message has no role: {message!r:.80}",
                "write each as {'role': 'user', 'content': '…'}",
            )
    kept = [{key: value for key, value in each.items() if value is not None} for each in messages]
    try:
        copies: list[dict[str, Any]] = json.loads(json.dumps(kept))
    except (TypeError, ValueError, RecursionError) as error:
        raise GenerationError(
            f"a message holds something that is no JSON: {error}", "use text, numbers and lists"
        ) from error
    return copies


def arrange(
    messages: Sequence[Message],
    form: ToolFormat,
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    thinking_key: str | None = None,
) -> list[dict[str, Any]]:
    """The messages as a template of ``form`` takes them.

    ``tools`` are written into them where the template itself writes none.  What the assistant
    had thought stands under ``thinking_key``, where the template reads one.

    Raises:
        GenerationError: as `plain`, or a tool call or result that is not complete.
        UsageError: a message with more than text.
    """
    turns = [_with_thinking(_turn(message), thinking_key) for message in plain(messages)]
    if form.one_call:
        turns = list(_one_call_each(turns))
    if form.short_ids:
        turns = [_with_short_ids(turn) for turn in turns]
    if form.turns == "text":
        turns = list(_as_text(turns, form))
    return _with_tools(turns, form, tools) if tools else turns


def _turn(message: dict[str, Any]) -> dict[str, Any]:
    role = "system" if message["role"] == "developer" else message["role"]
    turn = {**message, "role": role, "content": _text(message.get("content", ""))}
    calls = turn.pop("tool_calls", None)
    return {**turn, "tool_calls": [_call(call) for call in calls]} if calls else turn


def _with_thinking(turn: dict[str, Any], key: str | None) -> dict[str, Any]:
    """Clients give it back under one of several names."""
    thought = [turn.pop(name, None) for name in THINKING_KEYS]
    texts = [text for text in thought if isinstance(text, str) and text.strip()]
    return {**turn, key: texts[0]} if key and texts else turn


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise GenerationError(
            f"a message's content is neither text nor a list of parts: {content!r:.80}",
            "write it as a text",
        )
    return "\n".join(_part(part) for part in content)


def _part(part: Any) -> str:
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, Mapping) else part
    raise UsageError(
        f"a message has a part of the type {kind!r:.40}",
        "send text alone: images, sound and files are not supported",
    )


def _call(call: Any) -> dict[str, Any]:
    """Templates take the arguments as an object; OpenAI's clients send it as text."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise GenerationError(
            f"a tool call names no function: {call!r:.80}",
            "give back the tool_calls as they came",
        )
    return {**call, "function": {**function, "arguments": _arguments(function)}}


def _arguments(function: Mapping[str, Any]) -> dict[str, Any]:
    """An object in any case: templates go through its members, and models write wrong JSON too."""
    value = function.get("arguments")
    try:
        read = json.loads(value or "{}") if isinstance(value, str) else value
    except (ValueError, RecursionError):
        read = value
    if isinstance(read, dict):
        return read
    return {} if read is None else {INVALID_JSON: value}


def _one_call_each(turns: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each call in a message of its own, its result behind it.

    Results stand right behind their calls' message, up to the next one with calls: an id counts
    no further, since servers begin anew with "call_0" in each.
    """
    calls: list[dict[str, Any]] = []
    asking: dict[str, Any] = {}
    for turn in turns:
        if calls and turn["role"] == "tool":
            ids = [call.get("id") for call in calls]
            answered = turn.get("tool_call_id")
            call = calls.pop(ids.index(answered) if answered in ids else 0)
            yield {**asking, "tool_calls": [call]}
            yield turn
            continue
        yield from ({**asking, "tool_calls": [call]} for call in calls)
        calls = list(turn.get("tool_calls", ())) if len(turn.get("tool_calls", ())) > 1 else []
        asking = turn
        if not calls:
            yield turn
    yield from ({**asking, "tool_calls": [call]} for call in calls)


def _with_short_ids(turn: dict[str, Any]) -> dict[str, Any]:
    turn = dict(turn)
    if "tool_call_id" in turn:
        turn["tool_call_id"] = _short(turn["tool_call_id"])
    if "tool_calls" in turn:
        turn["tool_calls"] = [{**call, "id": _short(call.get("id"))} for call in turn["tool_calls"]]
    return turn


def _short(own: Any) -> str:
    own = str(own)
    return own if _SHORT_ID.fullmatch(own) else hashlib.sha256(own.encode()).hexdigest()[:9]


def _as_text(turns: Sequence[dict[str, Any]], form: ToolFormat) -> Iterator[dict[str, Any]]:
    """Calls and results written out, several results in a row as one message."""
    results: list[str] = []
    for turn in turns:
        if turn["role"] == "tool":
            results.append(form.result(turn["content"]))
            continue
        if results:
            yield {"role": form.result_role, "content": "\n".join(results)}
            results = []
        yield _written(turn, form)
    if results:
        yield {"role": form.result_role, "content": "\n".join(results)}


def _written(turn: dict[str, Any], form: ToolFormat) -> dict[str, Any]:
    if "tool_calls" not in turn:
        return turn
    functions = [call["function"] for call in turn["tool_calls"]]
    parts = [turn["content"]] if turn["content"] else []
    return {"role": turn["role"], "content": "\n".join([*parts, form.write(functions)])}


def _with_tools(
    turns: list[dict[str, Any]], form: ToolFormat, tools: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    if form.shown == "template":
        return turns
    first = turns[0] if turns[0]["role"] == "system" else {"role": "system", "content": ""}
    rest = turns[1:] if turns[0]["role"] == "system" else turns
    functions = json.dumps([tool["function"] for tool in tools], ensure_ascii=False)
    if form.shown == "field":
        return [{**first, "tools": functions}, *rest]
    parts = [first["content"]] if first["content"] else []
    instruction = form.instruction.replace("{tools}", functions)
    return [{**first, "content": "\n\n".join([*parts, instruction])}, *rest]


def alternating(
    turns: Sequence[dict[str, Any]], *, has_system: bool = True
) -> list[dict[str, Any]]:
    """The same conversation with a single system message, at its beginning, and roles by turns.

    Some families' templates (Mistral's, Gemma's) refuse any other, and some a system message at
    all: without ``has_system`` its text begins the first user's message, as Gemma's own template
    does it.  Texts are joined by an empty line; a system message further on is told as a user's.
    """
    said: list[dict[str, Any]] = []
    for turn in turns:
        is_first = all(one["role"] == "system" for one in said)
        role = turn["role"] if turn["role"] != "system" or (is_first and has_system) else "user"
        if said and _can_join(said[-1], role, turn):
            said[-1] = {**said[-1], "content": f"{said[-1]['content']}\n\n{turn['content']}"}
        else:
            said.append({**turn, "role": role})
    return said


def _can_join(before: Mapping[str, Any], role: str, turn: Mapping[str, Any]) -> bool:
    is_said = role in {"system", "user", "assistant"} and before["role"] == role
    texts = (before.get("content"), turn.get("content"))
    has_calls = "tool_calls" in before or "tool_calls" in turn
    return is_said and not has_calls and all(isinstance(text, str) for text in texts)
