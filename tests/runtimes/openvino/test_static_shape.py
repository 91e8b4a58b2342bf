from __future__ import annotations

import pytest

from aipc.errors import PromptTooLong, UsageError
from aipc.runtimes.openvino.static_shape import NpuOptions, Shape, fitting_shape, smallest_shape

FREE = NpuOptions()


@pytest.mark.parametrize(
    ("prompt", "answer", "context", "shape"),
    [
        (1, 1, 131_072, (1024, 1024)),
        (1023, 1024, 131_072, (1024, 1024)),
        (1024, 1024, 131_072, (1024, 1024)),
        (1025, 1024, 131_072, (2048, 1024)),
        (2049, 1025, 131_072, (4096, 2048)),
        (8192, 5000, 131_072, (8192, 8192)),
        # A context ends the ladder, and what is past it is room for nothing.
        (1500, 1024, 4096, (2048, 1024)),
        (3000, 1024, 4096, (4096, 64)),
        (4095, 1, 4096, (4096, 64)),
        (100, 28, 128, (128, 64)),
        (2100, 10, 3000, (3008, 64)),
    ],
)
def test_the_smallest_shape_of_the_ladder_that_holds_the_request(prompt, answer, context, shape):
    found = fitting_shape(prompt, answer, FREE, context)
    assert (found.prompt, found.response) == shape
    assert found.holds(prompt, answer)


@pytest.mark.parametrize("context", [100, 2047, 2048, 4096, 5000])
def test_whatever_a_context_holds_has_a_shape(context):
    for prompt in range(1, context, 37):
        answer = context - prompt
        assert fitting_shape(prompt, answer, FREE, context).holds(prompt, answer)


def test_a_prompt_beyond_the_largest_shape_is_refused_with_the_way_out():
    told = "has 8,193 tokens and the NPU takes at most 8,192; .* ask for --max-prompt-len 8256"
    with pytest.raises(PromptTooLong, match=told):
        fitting_shape(8193, 1, FREE, 131_072)
    asked = NpuOptions(max_prompt_len=8256)
    assert fitting_shape(8193, 1, asked, 131_072) == Shape(8256, 1024)


def test_fixed_lengths_are_rounded_up_and_kept_to():
    fixed = NpuOptions(max_prompt_len=100, min_response_len=1)
    assert fitting_shape(5, 5, fixed, 4096) == smallest_shape(fixed, 4096) == Shape(128, 64)
    with pytest.raises(PromptTooLong, match="at most 128; shorten it, raise --max-prompt-len to"):
        fitting_shape(129, 1, fixed, 4096)


def test_where_the_answers_room_is_fixed_the_prompts_grows_for_it():
    fixed = NpuOptions(min_response_len=128)
    assert fitting_shape(100, 100, fixed, 4096) == Shape(1024, 128)
    assert fitting_shape(1000, 1000, fixed, 4096) == Shape(2048, 128)


def test_the_context_of_a_session_is_what_a_fixed_shape_holds():
    assert FREE.context(4096) == 4096
    assert NpuOptions(max_prompt_len=256).context(4096) == 4096
    both = NpuOptions(max_prompt_len=250, min_response_len=64)
    assert both.context(4096) == 320
    assert both.context(300) == 300


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_prompt_len", 0), ("min_response_len", -1), ("prefill_hint", "fast"),
     ("generate_hint", "static")],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused_by_its_flag(name, value):
    with pytest.raises(UsageError, match=f"^--{name.replace('_', '-')} "):
        NpuOptions(**{name: value})
