"""instructor in each of its ways, and its second try after an answer that failed its validation."""

from __future__ import annotations

import instructor
from openai import OpenAI
from pydantic import model_validator
from turns import ASKED, KEY, LONG, MODEL, URL, Answer, do

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
seen = []


class Doubted(Answer):
    """An answer that is not believed the first time."""

    @model_validator(mode="after")
    def doubt(self):
        seen.append(self)
        if len(seen) % 2:
            raise ValueError("be more careful")
        return self


def create(mode, model=Answer, **more):
    asking = instructor.from_openai(client, mode=mode)
    return asking.chat.completions.create(
        model=MODEL, messages=ASKED, response_model=model, max_tokens=LONG, temperature=0, **more
    ).model_dump()


def typed():
    return create(instructor.Mode.JSON_SCHEMA)


def typed_by_tool():
    return create(instructor.Mode.TOOLS, max_retries=1)


def error():
    return create(instructor.Mode.TOOLS, Doubted, max_retries=2)


def error_of_schema():
    return create(instructor.Mode.JSON_SCHEMA, Doubted, max_retries=2)


def stream():
    asking = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
    parts = asking.chat.completions.create_partial(
        model=MODEL, messages=ASKED, response_model=Answer, max_tokens=LONG, temperature=0
    )
    return [part.model_dump() for part in parts][-1]


do(typed, typed_by_tool, error, error_of_schema, stream)
