"""Blocks in, a conversation in OpenAI's form out."""

from __future__ import annotations

import pytest

from aipc.serve.anthropic.schemas import CountRequest
from aipc.serve.anthropic.transcript import Transcript
from aipc.wire.errors import HTTPError

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sea"}}
CALLED = {
    "id": "toolu_1",
    "type": "function",
    "function": {"name": "look", "arguments": '{"at": "sea"}'},
}


def read(*messages, **more):
    turns = [dict(zip(("role", "content"), one, strict=True)) for one in messages]
    return Transcript(CountRequest.model_validate({"model": "m", "messages": turns, **more}))


def text(words, **more):
    return {"type": "text", "text": words, **more}


def result(content, **more):
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}


def test_texts_of_one_role_are_one_message():
    transcript = read(("user", "a"), ("user", [text("b"), text("c")]), ("assistant", "d"))
    assert transcript.messages == [
        {"role": "user", "content": "a\nb\nc"},
        {"role": "assistant", "content": "d"},
    ]


def test_a_system_prompt_is_text_or_blocks_and_no_billing_line():
    assert read(("user", "a"), system="Be brief.").messages[0]["content"] == "Be brief."
    blocks = [text("x-anthropic-billing-header: version=1;"), text("Be brief."), text("Be kind.")]
    first, _ = read(("user", "a"), system=blocks).messages
    assert first == {"role": "system", "content": "Be brief.\nBe kind."}


def test_a_system_message_joins_the_prompt_before_the_first_answer_and_the_user_after_it():
    transcript = read(
        ("user", "a"),
        ("system", "Tools: x"),
        ("assistant", "b"),
        ("system", "y too"),
        ("user", "c"),
    )
    assert transcript.messages == [
        {"role": "system", "content": "Tools: x"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "<system>\ny too\n</system>\nc"},
    ]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_results_stand_before_what_the_user_says_beside_them(place):
    second = {**CALL, "id": "toolu_2"}
    content = [result("blue"), {**result("wet"), "tool_use_id": "toolu_2"}]
    content.insert(place, text("And?"))
    transcript = read(("user", "a"), ("assistant", [CALL, second]), ("user", content))
    assert transcript.messages[1]["tool_calls"][0] == CALLED
    assert transcript.messages[2:] == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "blue"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "wet"},
        {"role": "user", "content": "And?"},
    ]


RESULTS = {
    "text": ({"content": "blue"}, "blue"),
    "blocks": ({"content": [text("blue"), text("wet")]}, "blue\nwet"),
    "nothing": ({"content": None}, ""),
    "an error": ({"content": "no sea", "is_error": True}, "Error:\nno sea"),
    "a tool": ({"content": [{"type": "tool_reference", "tool_name": "dive"}]}, "the tool dive"),
    "a document": (
        {"content": [{"type": "document", "source": {"type": "text", "data": "deep"}}]},
        "deep",
    ),
    "a paper": ({"content": [PDF]}, "[a document that is no text, which this model can't read]"),
    "a screenshot": (
        {"content": [text("seen"), IMAGE]},
        "seen\n[an image, which this model can't read]",
    ),
}


@pytest.mark.parametrize(("more", "expected"), RESULTS.values(), ids=RESULTS)
def test_a_result_is_what_of_it_is_text(more, expected):
    transcript = read(("user", "a"), ("assistant", [CALL]), ("user", [result("") | more]))
    assert transcript.messages[-1]["content"] == expected


def test_thoughts_of_earlier_answers_are_their_reasoning():
    thinking = {"type": "thinking", "thinking": "hm", "signature": "x"}
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    transcript = read(("user", "a"), ("assistant", [thinking, redacted, text("b"), CALL]))
    assert transcript.messages[1] == {
        "role": "assistant",
        "content": "b",
        "reasoning_content": "hm",
        "tool_calls": [CALLED],
    }


def test_what_anthropics_tools_did_is_passed_over():
    search = {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}
    transcript = read(("user", "a"), ("assistant", [search, text("b")]))
    assert transcript.messages[1] == {"role": "assistant", "content": "b"}


def test_documents_and_search_results_are_their_texts():
    found = {"type": "search_result", "source": "s", "title": "t", "content": [text("x")]}
    blocks = {"type": "content", "content": [text("y"), text("z")]}
    document = {"type": "document", "title": "Deeds", "source": blocks}
    assert read(("user", [found, document])).messages[0]["content"] == "t (s)\nx\nDeeds\ny\nz"


@pytest.mark.parametrize(
    ("block", "path"),
    [
        (IMAGE, r"messages\[0\].content\[1\]: this is an image"),
        (PDF, r"messages\[0\].content\[1\]: this is a document"),
        (
            {"type": "document", "source": {"type": "content", "content": [IMAGE]}},
            r"messages\[0\].content\[1\].source.content\[0\]: this is an image",
        ),
        ({"type": "smell"}, r"messages\[0\].content\[1\]: this is a block of the type 'smell'"),
    ],
)
def test_what_the_user_shows_and_the_model_can_not_read_is_refused(block, path):
    with pytest.raises(HTTPError, match=path):
        read(("user", [text("see"), block]))


def test_a_conversation_in_which_nobody_speaks_is_refused():
    with pytest.raises(HTTPError, match="none of them says anything"):
        read(("user", []), system="Be brief.")


def test_it_is_open_where_the_assistant_speaks_last():
    assert read(("user", "a"), ("assistant", "It is")).is_open
    assert not read(("user", "a"), ("assistant", "It is"), ("user", "b")).is_open


def test_a_call_without_arguments_is_one_of_none():
    (called,) = read(("assistant", [{**CALL, "input": None}])).messages
    assert called["tool_calls"][0]["function"]["arguments"] == "{}"
