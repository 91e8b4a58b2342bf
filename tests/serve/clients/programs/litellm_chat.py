"""LiteLLM, by its "openai" provider."""

from __future__ import annotations

import json

import litellm
from turns import ASKED, KEY, LONG, MODEL, SHORT, URL, WEATHER, Answer, do

TOOL = {
    "type": "function",
    "function": {
        "name": "find_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
        },
    },
}


def complete(messages=ASKED, max_tokens=SHORT, **more):
    return litellm.completion(
        model=f"openai/{MODEL}",
        api_base=f"{URL}/v1",
        api_key=KEY,
        messages=messages,
        max_tokens=max_tokens,
        temperature=0,
        max_retries=0,
        **more,
    )


def plain():
    return complete().choices[0].message.content


def stream():
    chunks = complete(stream=True, stream_options={"include_usage": True})
    return [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]


def tools(result: str = "It is sunny."):
    asked = {"role": "user", "content": WEATHER}
    called = complete([asked], LONG, tools=[TOOL], tool_choice="required").choices[0].message
    calls = [
        {"name": call.function.name, "args": json.loads(call.function.arguments)}
        for call in called.tool_calls
    ]
    told = [
        {"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": result}
        for call in called.tool_calls
    ]
    later = complete([asked, called, *told], tools=[TOOL]).choices[0].message
    return {"calls": calls, "text": later.content}


def error():
    return tools("Error: the station does not answer")


def typed():
    content = complete(max_tokens=LONG, response_format=Answer).choices[0].message.content
    return Answer.model_validate_json(content).model_dump()


do(plain, stream, tools, error, typed)
