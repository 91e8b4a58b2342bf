from __future__ import annotations

import warnings

import pytest

from aipc.errors import UsageError
from aipc.facade.generation import MAX_NEW_TOKENS, TOP_K, check_names, read_order

PLAIN = {
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Nothing left to what the catalogue has for the model."""
KNOWN = {"do_sample", "num_beams", "top_k"}


def sampling(asked, own=None, length=10):
    return dict(read_order(asked, own or {}, length).sampling)


def test_nothing_asked_is_greedy():
    assert sampling({}) == PLAIN | {
        "temperature": 0.0,
        "max_new_tokens": MAX_NEW_TOKENS,
    }


def test_a_temperature_without_sampling_has_no_effect_and_the_program_is_warned():
    with pytest.warns(UserWarning, match="temperature has no effect"):
        asked = sampling({"do_sample": False, "temperature": 0.3, "max_new_tokens": 1024})
    assert asked == sampling({})


def test_sampling_starts_from_transformers_own_values():
    asked = sampling({"do_sample": True})
    assert asked == PLAIN | {
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": TOP_K,
        "min_p": 0.0,
        "max_new_tokens": MAX_NEW_TOKENS,
    }


def test_the_program_goes_before_the_model_and_the_model_before_the_defaults():
    own = {"do_sample": True, "temperature": 0.6, "top_k": 20, "max_new_tokens": 7, "min_p": 0.1}
    assert sampling({"top_k": 5}, own) == PLAIN | {
        "temperature": 0.6,
        "top_p": 1.0,
        "top_k": 5,
        "min_p": 0.1,
        "max_new_tokens": 7,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sampling({"do_sample": False}, own)["temperature"] == 0.0


def test_none_switches_off_what_the_model_has_as_in_transformers():
    own = {"do_sample": True, "temperature": 0.6, "top_k": 20, "repetition_penalty": 1.2}
    off = dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "repetition_penalty"))
    asked = sampling(off, own)
    assert asked == PLAIN | {"temperature": 1.0, "max_new_tokens": MAX_NEW_TOKENS}
    assert sampling({"do_sample": None}, own)["temperature"] == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sampling({"do_sample": False, **off}) == sampling({})


def test_none_of_what_is_not_chosen_by_is_no_order():
    own = {"max_new_tokens": 7, "eos_token_id": 3}
    order = read_order({"max_new_tokens": None, "eos_token_id": None, "num_beams": None}, own, 1)
    assert order.sampling["max_new_tokens"] == 7
    assert (order.stop_ids, order.pad_id) == (None, 3)


def test_a_repetition_penalty_counts_also_when_greedy():
    assert sampling({"repetition_penalty": 1.2})["repetition_penalty"] == 1.2
    assert sampling({}, {"repetition_penalty": 1.2})["repetition_penalty"] == 1.2


def test_max_length_counts_the_prompt_and_max_new_tokens_goes_before_it():
    assert sampling({"max_length": 15})["max_new_tokens"] == 5
    assert sampling({}, {"max_length": 12})["max_new_tokens"] == 2
    assert sampling({"max_length": 15, "max_new_tokens": 9})["max_new_tokens"] == 9
    with pytest.raises(UsageError, match="max_length=10 leaves no answer after a prompt of 10"):
        sampling({"max_length": 10})


@pytest.mark.parametrize("stated", [7, [7, 9]])
def test_ids_that_end_an_answer_replace_the_models(stated):
    order = read_order({"eos_token_id": stated}, {"eos_token_id": 2}, 1)
    assert order.stop_ids == ({7} if stated == 7 else {7, 9})
    assert order.pad_id == 7


def test_the_models_own_ids_are_left_to_the_session():
    order = read_order({}, {"eos_token_id": [2, 3]}, 1)
    assert order.stop_ids is None
    assert order.pad_id == 2
    assert read_order({"pad_token_id": 5}, {"eos_token_id": 2}, 1).pad_id == 5
    assert read_order({}, {}, 1).pad_id == 0


def test_stop_strings_may_be_one_or_several():
    assert read_order({"stop_strings": "Paris"}, {}, 1).stop == ("Paris",)
    assert read_order({"stop_strings": ["a", "b"]}, {}, 1).stop == ("a", "b")


@pytest.mark.parametrize(
    "asked",
    [
        {"num_beams": 4},
        {"num_return_sequences": 2},
        {"no_repeat_ngram_size": 3},
        {"use_cache": False},
        {"typical_p": 0.9},
        {"return_dict_in_generate": True},
        {"logits_processor": [object()]},
    ],
)
def test_what_can_not_be_had_is_refused_by_name(asked):
    (name,) = asked
    with pytest.raises(UsageError, match=f"can't honor {name}="):
        read_order(asked, {}, 1)


def test_the_value_that_asks_for_nothing_is_no_error():
    nothing = {"num_beams": 1, "use_cache": True, "min_p": 0.0, "output_scores": False}
    assert sampling(nothing | {"logits_processor": []}) == sampling({})


def test_what_only_the_models_own_file_says_is_not_asked_for():
    assert sampling({}, {"min_p": 0.1, "num_beams": 4}) == sampling({})


def test_a_name_that_generate_does_not_have_is_refused_whatever_its_value():
    check_names(["do_sample", "tokenizer"], KNOWN)
    with pytest.raises(UsageError, match="'num_beam'; did you mean 'num_beams'"):
        check_names(["num_beam"], KNOWN)
    with pytest.raises(UsageError, match="'zzz'; leave it out"):
        check_names(["zzz"], KNOWN)
