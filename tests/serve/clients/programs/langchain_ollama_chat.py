"""langchain-ollama."""

from __future__ import annotations

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_ollama import ChatOllama
from turns import KEY, LONG, MODEL, QUESTION, SHORT, URL, WEATHER, Answer, do, find_weather


def chat(tokens: int = SHORT, **more) -> ChatOllama:
    headers = {"headers": {"Authorization": f"Bearer {KEY}"}}
    return ChatOllama(
        model=MODEL, base_url=URL, client_kwargs=headers, temperature=0, num_predict=tokens, **more
    )


def plain():
    return chat().invoke(QUESTION).text


def stream():
    return [chunk.text for chunk in chat().stream(QUESTION)]


def tools(status: str = "success"):
    # Ollama's API can't force a call: the turn after one is asked either way
    asked = HumanMessage(WEATHER)
    first = chat().bind_tools([find_weather]).invoke([asked])
    call = {"name": "find_weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}
    called = first if first.tool_calls else AIMessage("", tool_calls=[call])
    told = [
        ToolMessage(
            "the station's answer", tool_call_id=call["id"], name=call["name"], status=status
        )
        for call in called.tool_calls
    ]
    later = chat().bind_tools([find_weather]).invoke([asked, called, *told])
    return {"calls": called.tool_calls, "text": later.text}


def error():
    return tools("error")


def typed():
    return (
        chat(LONG)
        .with_structured_output(Answer, method="json_schema")
        .invoke(QUESTION)
        .model_dump()
    )


do(plain, stream, tools, error, typed)
