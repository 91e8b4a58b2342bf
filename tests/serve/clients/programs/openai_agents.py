"""The OpenAI agents package, over responses or (--chat) chat completions."""

from __future__ import annotations

import asyncio
import sys

import agents
from openai import AsyncOpenAI
from turns import KEY, LONG, MODEL, QUESTION, URL, WEATHER, Answer, Station, do, find_weather

CHAT = "--chat" in sys.argv and not sys.argv.remove("--chat")
agents.set_tracing_disabled(True)


def run(prompt, *tools, choice=None, output=None, streamed=False):
    async def ran():
        client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
        kind = agents.OpenAIChatCompletionsModel if CHAT else agents.OpenAIResponsesModel
        settings = agents.ModelSettings(temperature=0, max_tokens=LONG, tool_choice=choice)
        agent = agents.Agent(
            name="helper",
            instructions="Be brief.",
            tools=list(tools),
            output_type=output,
            model=kind(MODEL, client),
            model_settings=settings,
        )
        if not streamed:
            return await agents.Runner.run(agent, prompt, max_turns=3)
        result = agents.Runner.run_streamed(agent, prompt, max_turns=3)
        async for _ in result.stream_events():
            pass
        return result

    return asyncio.run(ran())


def summary(result):
    calls = [
        {"name": item.raw_item.name, "arguments": item.raw_item.arguments}
        for item in result.new_items
        if item.type == "tool_call_item"
    ]
    return {"calls": calls, "text": str(result.final_output)}


def plain():
    return run(QUESTION).final_output


def stream():
    return [run(QUESTION, streamed=True).final_output]


def tools():
    return summary(run(WEATHER, agents.function_tool(find_weather), choice="required"))


def tools_streamed():
    tool = agents.function_tool(find_weather)
    return summary(run(WEATHER, tool, choice="required", streamed=True))


def error():
    return summary(run(WEATHER, agents.function_tool(Station().find_weather), choice="required"))


def typed():
    return run(QUESTION, output=Answer).final_output.model_dump()


def typed_with_tools():
    tool = agents.function_tool(find_weather)
    return run(WEATHER, tool, choice="required", output=Answer).final_output.model_dump()


do(plain, stream, tools, tools_streamed, error, typed, typed_with_tools)
