"""What every client is made to ask of the small real model."""

from __future__ import annotations

MODEL = "smollm2-135m"
KEY = "a-key-that-nobody-guesses"
QUESTION = "What is the capital of France? Answer in one word."
CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "find_weather",
        "description": "The weather in a city.",
        "parameters": CITY_SCHEMA,
    },
}
TOO_LONG = "word " * 9000
