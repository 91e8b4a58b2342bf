"""pydantic-ai, over chat completions or (--responses) responses."""

from __future__ import annotations

import asyncio
import sys

from pydantic_ai import Agent, ModelRetry, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from turns import KEY, LONG, MODEL, QUESTION, URL, WEATHER, Answer, Station, do, find_weather

RESPONSES = "--responses" in sys.argv and not sys.argv.remove("--responses")


def agent(output=str, tools=(), **more):
    kind = OpenAIResponsesModel if RESPONSES else OpenAIChatModel
    model = kind(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))
    settings = {"temperature": 0, "max_tokens": LONG, **more}
    return Agent(model, output_type=output, tools=tools, model_settings=settings, retries=2)


def plain():
    return agent().run_sync(QUESTION).output


def stream():
    async def streamed():
        async with agent().run_stream(QUESTION) as result:
            return [text async for text in result.stream_text(delta=True)]

    return asyncio.run(streamed())


def tools():
    result = agent(tools=[find_weather]).run_sync(WEATHER)
    return {"text": result.output, "calls": []}


def error():
    station = Station()

    def find_weather(city: str) -> str:
        """The weather in a city."""
        try:
            return station.find_weather(city)
        except ValueError as failed:
            raise ModelRetry(str(failed)) from failed

    result = agent(tools=[find_weather]).run_sync(WEATHER)
    return {"text": result.output, "calls": []}


def typed():
    return agent(NativeOutput(Answer)).run_sync(QUESTION).output.model_dump()


def typed_by_tool():
    return agent(Answer).run_sync(QUESTION).output.model_dump()


def typed_with_tools():
    return agent(Answer, [find_weather]).run_sync(WEATHER).output.model_dump()


do(plain, stream, tools, error, typed, typed_by_tool, typed_with_tools)
