"""Anthropic's own client."""

from __future__ import annotations

import anthropic
from turns import ASKED, KEY, LONG, MODEL, SHORT, URL, WEATHER, Answer, do

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
TOOL = {
    "name": "find_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
    },
}


def plain():
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    reply = client.messages.create(
        model=MODEL, messages=ASKED, max_tokens=SHORT, system=system, stop_sequences=["\n\n"]
    )
    return reply.content[0].text


def stream():
    with client.messages.stream(model=MODEL, messages=ASKED, max_tokens=SHORT) as events:
        return list(events.text_stream)


def tools(result: str = "It is sunny.", *, failed: bool = False):
    asked = {"role": "user", "content": WEATHER}
    options = {"model": MODEL, "tools": [TOOL]}
    called = client.messages.create(
        messages=[asked], max_tokens=LONG, tool_choice={"type": "any"}, **options
    )
    calls = [block for block in called.content if block.type == "tool_use"]
    told = [
        {"type": "tool_result", "tool_use_id": call.id, "content": result, "is_error": failed}
        for call in calls
    ]
    history = [
        asked,
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": told},
    ]
    later = client.messages.create(messages=history, max_tokens=SHORT, **options)
    text = "".join(block.text for block in later.content if block.type == "text")
    return {"calls": [{"name": call.name, "args": call.input} for call in calls], "text": text}


def tools_streamed():
    asked = {"role": "user", "content": WEATHER}
    with client.messages.stream(
        model=MODEL,
        messages=[asked],
        max_tokens=LONG,
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "find_weather"},
    ) as events:
        (*_, call) = events.get_final_message().content
    return {"calls": [{"name": call.name, "args": call.input}], "text": ""}


def error():
    return tools("the station does not answer", failed=True)


def typed():
    # given as it is: the client's own parse() leaves a schema's bounds out
    wanted = {"format": {"type": "json_schema", "schema": Answer.model_json_schema()}}
    reply = client.messages.create(
        model=MODEL, messages=ASKED, max_tokens=LONG, output_config=wanted
    )
    return Answer.model_validate_json(reply.content[0].text).model_dump()


def count():
    return client.messages.count_tokens(model=MODEL, messages=ASKED, tools=[TOOL]).input_tokens


def refusal():
    try:
        client.messages.create(model="none", messages=ASKED, max_tokens=SHORT)
    except anthropic.NotFoundError as missing:
        return missing.body["error"]["type"]


do(plain, stream, tools, tools_streamed, error, typed, count, refusal)
