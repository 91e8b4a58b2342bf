"""langchain-anthropic."""

from __future__ import annotations

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from turns import KEY, LONG, MODEL, QUESTION, SHORT, URL, WEATHER, Answer, do, find_weather


def chat(max_tokens: int = SHORT) -> ChatAnthropic:
    return ChatAnthropic(
        model=MODEL, base_url=URL, api_key=KEY, max_retries=0, temperature=0, max_tokens=max_tokens
    )


def plain():
    return chat().invoke(QUESTION).text


def stream():
    return [chunk.text for chunk in chat().stream(QUESTION)]


def tools(status: str = "success"):
    asked = HumanMessage(WEATHER)
    called = chat(LONG).bind_tools([find_weather], tool_choice="any").invoke([asked])
    told = [
        ToolMessage("the station's answer", tool_call_id=call["id"], status=status)
        for call in called.tool_calls
    ]
    later = chat().bind_tools([find_weather]).invoke([asked, called, *told])
    return {"calls": called.tool_calls, "text": later.text}


def error():
    return tools("error")


def typed():
    return chat(LONG).with_structured_output(Answer).invoke(QUESTION).model_dump()


do(plain, stream, tools, error, typed)
