"""langchain-openai's chat model."""

from __future__ import annotations

import openai
import pytest
from client_requests import CITY_SCHEMA, KEY, MODEL, QUESTION, TOO_LONG, WEATHER_TOOL
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Weather(BaseModel):
    """The weather in a city."""

    city: str


@pytest.fixture(scope="module")
def model(api_url):
    def make(**options):
        shared = {"model": MODEL, "base_url": api_url, "api_key": KEY, "max_retries": 0}
        return ChatOpenAI(**{**shared, "temperature": 0, "max_tokens": 24, **options})

    return make


def test_a_chat_whole_and_streamed_is_the_same(model):
    whole = model().invoke(QUESTION)
    assert "Paris" in whole.content
    assert whole.response_metadata["finish_reason"] in {"stop", "length"}
    first, *rest = model(stream_usage=True).stream(QUESTION)
    streamed = sum(rest, first)
    assert len(rest) > 2
    assert streamed.content == whole.content
    assert streamed.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]


def test_a_tool_that_must_be_called_is_and_its_result_is_read(model):
    bound = model(max_tokens=64).bind_tools([WEATHER_TOOL], tool_choice="required")
    asked = HumanMessage("Weather in Paris?")
    called = bound.invoke([asked])
    (call,) = called.tool_calls
    assert call["name"] == "find_weather"
    assert call["args"]["city"] in {"Paris", "Rome"}
    told = ToolMessage("sunny", tool_call_id=call["id"])
    assert isinstance(model().invoke([asked, called, told]), AIMessage)


def test_a_tool_is_called_in_a_stream(model):
    bound = model(max_tokens=64).bind_tools([Weather], tool_choice="Weather")
    first, *rest = bound.stream("Weather in Paris?")
    (call,) = sum(rest, first).tool_calls
    assert call["name"] == "Weather"
    assert isinstance(call["args"]["city"], str)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_what_was_wanted(model, method):
    schema = {"title": "city", "description": "A city.", **CITY_SCHEMA}
    wanted = model(max_tokens=64).with_structured_output(schema, method=method)
    assert wanted.invoke(QUESTION)["city"] in {"Paris", "Rome"}


def test_errors_are_openais(model):
    with pytest.raises(openai.NotFoundError, match="no model 'none'"):
        model(model="none").invoke(QUESTION)
    with pytest.raises(openai.BadRequestError, match="context holds 8,192") as too_long:
        model().invoke(TOO_LONG)
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        model(temperature=3).invoke(QUESTION)
    with pytest.raises(openai.AuthenticationError):
        model(api_key="wrong").invoke(QUESTION)


def test_embeddings_are_plainly_refused(api_url):
    embeddings = OpenAIEmbeddings(
        model=MODEL, base_url=api_url, api_key=KEY, check_embedding_ctx_length=False
    )
    with pytest.raises(openai.BadRequestError, match="makes no embeddings"):
        embeddings.embed_query("x")
