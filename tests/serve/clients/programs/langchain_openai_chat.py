"""langchain-openai over chat completions or (--responses) responses."""

from __future__ import annotations

import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from turns import KEY, LONG, MODEL, QUESTION, SHORT, URL, WEATHER, Answer, do, find_weather

RESPONSES = "--responses" in sys.argv and not sys.argv.remove("--responses")


def chat(max_tokens: int = SHORT) -> ChatOpenAI:
    return ChatOpenAI(
        model=MODEL,
        base_url=f"{URL}/v1",
        api_key=KEY,
        max_retries=0,
        temperature=0,
        max_tokens=max_tokens,
        use_responses_api=RESPONSES,
    )


def plain():
    return chat().invoke(QUESTION).text


def stream():
    return [chunk.text for chunk in chat().stream(QUESTION)]


def tools(status: str = "success", result: str = "It is sunny."):
    bound = chat(LONG).bind_tools([find_weather], tool_choice="required")
    asked = HumanMessage(WEATHER)
    called = bound.invoke([asked])
    told = [
        ToolMessage(result, tool_call_id=call["id"], name=call["name"], status=status)
        for call in called.tool_calls
    ]
    later = chat().bind_tools([find_weather]).invoke([asked, called, *told])
    return {"calls": called.tool_calls, "text": later.text}


def error():
    return tools("error", "Error: the station does not answer")


def typed():
    return (
        chat(LONG)
        .with_structured_output(Answer, method="json_schema")
        .invoke(QUESTION)
        .model_dump()
    )


def typed_by_tool():
    return (
        chat(LONG)
        .with_structured_output(Answer, method="function_calling")
        .invoke(QUESTION)
        .model_dump()
    )


do(plain, stream, tools, error, typed, typed_by_tool)
