"""OpenAI's own client: chat completions with typed answers, and responses."""

from __future__ import annotations

import openai
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel
from turns import ASKED, KEY, LONG, MODEL, QUESTION, SHORT, URL, WEATHER, Answer, City, do

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
options = {"model": MODEL, "temperature": 0}


class find_weather(BaseModel):  # noqa: N801 -- its name is the tool's
    """The weather in a city."""

    city: City


def plain():
    return (
        client.chat.completions.create(messages=ASKED, max_tokens=SHORT, **options)
        .choices[0]
        .message.content
    )


def stream():
    with client.chat.completions.stream(messages=ASKED, max_tokens=SHORT, **options) as events:
        return [event.delta for event in events if event.type == "content.delta"]


def tools(result: str = "It is sunny."):
    tool = pydantic_function_tool(find_weather)
    asked = {"role": "user", "content": WEATHER}
    called = (
        client.chat.completions.parse(
            messages=[asked], tools=[tool], tool_choice="required", max_tokens=LONG, **options
        )
        .choices[0]
        .message
    )
    told = [
        {"role": "tool", "tool_call_id": call.id, "content": result} for call in called.tool_calls
    ]
    later = client.chat.completions.create(
        messages=[asked, called, *told], tools=[tool], max_tokens=SHORT, **options
    )
    calls = [
        {"name": call.function.name, "args": call.function.parsed_arguments.model_dump()}
        for call in called.tool_calls
    ]
    return {"calls": calls, "text": later.choices[0].message.content}


def error():
    return tools("Error: the station does not answer")


def typed():
    reply = client.chat.completions.parse(
        messages=ASKED, response_format=Answer, max_tokens=LONG, **options
    )
    return reply.choices[0].message.parsed.model_dump()


def responses():
    return client.responses.create(input=QUESTION, max_output_tokens=SHORT, **options).output_text


def responses_typed():
    reply = client.responses.parse(
        input=QUESTION, text_format=Answer, max_output_tokens=LONG, **options
    )
    return reply.output_parsed.model_dump()


def responses_tools():
    tool = openai.pydantic_function_tool(find_weather)["function"]
    tool = {"type": "function", **tool}
    asked = {"role": "user", "content": WEATHER}
    called = client.responses.create(
        input=[asked], tools=[tool], tool_choice="required", max_output_tokens=LONG, **options
    )
    calls = [item for item in called.output if item.type == "function_call"]
    told = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "It is sunny."}
        for call in calls
    ]
    later = client.responses.create(
        input=[asked, *called.output, *told], tools=[tool], max_output_tokens=SHORT, **options
    )
    return {"calls": [call.model_dump() for call in calls], "text": later.output_text}


do(plain, stream, tools, error, typed, responses, responses_typed, responses_tools)
