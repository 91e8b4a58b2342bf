"""ollama's own client."""

from __future__ import annotations

import ollama
from turns import ASKED, KEY, LONG, MODEL, QUESTION, SHORT, URL, WEATHER, Answer, do, find_weather

client = ollama.Client(URL, headers={"Authorization": f"Bearer {KEY}"})


def options(tokens: int = SHORT):
    return {"temperature": 0, "num_predict": tokens, "num_ctx": 4096, "seed": 7}


def plain():
    return client.chat(MODEL, ASKED, options=options(), keep_alive="5m").message.content


def generate():
    return client.generate(MODEL, QUESTION, system="Be brief.", options=options()).response


def stream():
    parts = client.chat(MODEL, ASKED, options=options(), stream=True)
    return [part.message.content for part in parts]


def tools(result: str = "It is sunny."):
    # Ollama's API can't force a call: what a model calls is its own to say
    history = [{"role": "user", "content": WEATHER}]
    first = client.chat(MODEL, history, tools=[find_weather], options=options(LONG)).message
    calls = first.tool_calls or [
        ollama.Message.ToolCall(
            function=ollama.Message.ToolCall.Function(
                name="find_weather", arguments={"city": "Paris"}
            )
        )
    ]
    history.append(ollama.Message(role="assistant", content="", tool_calls=calls))
    history += [
        {"role": "tool", "content": result, "tool_name": call.function.name} for call in calls
    ]
    later = client.chat(MODEL, history, tools=[find_weather], options=options()).message
    called = [{"name": call.function.name, "args": dict(call.function.arguments)} for call in calls]
    return {"calls": called, "text": later.content}


def error():
    return tools("Error: the station does not answer")


def typed():
    reply = client.chat(MODEL, ASKED, format=Answer.model_json_schema(), options=options(LONG))
    return Answer.model_validate_json(reply.message.content).model_dump()


def store():
    shown = client.show(MODEL)
    return {
        "listed": [model.model for model in client.list().models],
        "running": [model.model for model in client.ps().models],
        "capabilities": shown.capabilities,
    }


def refusal():
    try:
        client.chat("none", ASKED)
    except ollama.ResponseError as missing:
        return missing.status_code


do(plain, generate, stream, tools, error, typed, store, refusal)
