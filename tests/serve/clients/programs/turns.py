"""What every program here is asked to do: turns by name, told as one JSON object.

``python NAME.py [TURN…]``; AIPC_URL is the server's address without a path.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, Field

URL = os.environ["AIPC_URL"]
KEY = os.environ["AIPC_KEY"]
MODEL = os.environ["AIPC_MODEL"]
QUESTION = "What is the capital of France? Answer in one word."
ASKED = [{"role": "user", "content": QUESTION}]
WEATHER = "What is the weather in Paris?"
SHORT, LONG = 24, 160
"""Tokens of an answer in prose, and of one that has to come to the end of its JSON."""

City = Literal["Paris", "Rome"]


class Answer(BaseModel):
    """A city, and how sure it is."""

    city: City
    districts: int = Field(ge=1, le=99)
    confidence: float = Field(ge=0, le=1, description="how sure it is")


def find_weather(city: City) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


class Station:
    """A tool that fails at the first call."""

    def __init__(self) -> None:
        self.calls = 0

    def find_weather(self, city: City) -> str:
        """The weather in a city."""
        self.calls += 1
        if self.calls == 1:
            raise ValueError("the station does not answer")
        return find_weather(city)


def do(*turns: Callable[[], Any]) -> None:
    """Do the turns named on the command line, or all."""
    known = {turn.__name__: turn for turn in turns}
    told = {name: known[name]() for name in sys.argv[1:] or known}
    sys.stdout.write(json.dumps(told, default=str) + "\n")
