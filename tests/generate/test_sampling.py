from __future__ import annotations

import json

import pytest

from aipc.errors import CheckpointError, UsageError
from aipc.generate.sampling import SamplingDefaults
from aipc.generate.sampling import resolve as resolve_among
from aipc.models.catalogue import CATALOGUE
from aipc.options import from_mapping
from aipc.runtimes.base import Decoding
from aipc.runtimes.sampling import Sampling, fold_seed

LLAMA_3 = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 2]}
CARD = SamplingDefaults("the catalogue", {"temperature": 0.2, "min_p": 0.1})


def resolve(requested, config):
    return resolve_among(requested, [SamplingDefaults.of_config(config)]).decoding


def test_silent_model_is_greedy():
    assert resolve(Sampling(), {"eos_token_id": 2}) == Decoding(1024)


def test_model_s_values_are_taken_where_nothing_is_asked():
    asked = Sampling(max_new_tokens=5, seed=3)
    assert resolve(asked, LLAMA_3) == Decoding(5, temperature=0.6, top_p=0.9, seed=3)


def test_what_is_asked_comes_first():
    asked = Sampling(temperature=1.5, top_p=1.0, top_k=7, repetition_penalty=1.1, seed=0)
    expected = Decoding(1024, 1.5, 1.0, 7, repetition_penalty=1.1)
    assert resolve(asked, {**LLAMA_3, "top_k": 50, "repetition_penalty": 1.3}) == expected


def test_zero_temperature_is_greedy_whatever_the_model_says():
    assert resolve(Sampling(temperature=0), LLAMA_3) == Decoding(1024)


def test_a_temperature_that_engines_would_round_to_zero_is_greedy():
    for cold in (5e-7, 1e-45, 1e-300):
        assert resolve(Sampling(temperature=cold), LLAMA_3) == Decoding(1024)
    assert resolve(Sampling(temperature=1e-6), LLAMA_3).temperature == 1e-6


def test_values_of_a_model_that_does_not_sample_are_not_taken():
    config = {"do_sample": False, "temperature": 0.7, "repetition_penalty": 1.2}
    assert resolve(Sampling(), config) == Decoding(1024, repetition_penalty=1.2)


@pytest.mark.parametrize("asked", [{"top_p": 0.5}, {"top_k": 3}, {"min_p": 0.1}])
def test_option_of_sampling_samples(asked):
    assert resolve(Sampling(**asked, seed=1), {}) == Decoding(1024, 1.0, **asked, seed=1)


def test_options_that_are_off_ask_for_nothing():
    assert resolve(Sampling(top_p=1.0, top_k=0, min_p=0.0), {}) == Decoding(1024)


def test_seed_alone_leaves_a_greedy_model_greedy():
    assert resolve(Sampling(seed=5), {}).temperature == 0


def test_sampled_decoding_without_a_seed_gets_another_one_each_time():
    seeds = {resolve(Sampling(temperature=1.0), {}).seed for _ in range(20)}
    assert len(seeds) > 15
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_bad_value_of_the_model_is_named_and_can_be_overruled():
    config = {"do_sample": True, "top_p": 7}
    with pytest.raises(CheckpointError, match=r"top_p 7: .*maximum 1\.0; give --top-p a value"):
        resolve(Sampling(), config)
    assert resolve(Sampling(top_p=0.9, seed=1), config).top_p == 0.9


def test_the_first_that_states_a_value_counts_and_is_named():
    config = SamplingDefaults.of_config({**LLAMA_3, "repetition_penalty": 1.1})
    asked = Sampling(top_k=7, presence_penalty=0.0, frequency_penalty=0.5)
    resolved = resolve_among(asked, [CARD, config])
    decoding = resolved.decoding
    assert (decoding.temperature, decoding.top_p, decoding.top_k) == (0.2, 0.9, 7)
    assert (decoding.min_p, decoding.repetition_penalty) == (0.1, 1.1)
    assert str(resolved) == (
        "temperature 0.2 (the catalogue), top_p 0.9 (generation_config.json), top_k 7 (given), "
        "min_p 0.1 (the catalogue), repetition_penalty 1.1 (generation_config.json), "
        f"frequency_penalty 0.5 (given), seed {decoding.seed} (drawn)"
    )
    assert resolved.as_dict()["top_k"] == {"value": 7, "origin": "given"}
    assert "presence_penalty" not in json.loads(json.dumps(resolved.as_dict()))


def test_greedy_is_said_and_what_has_no_effect_is_not():
    resolved = resolve_among(Sampling(temperature=0, seed=3, presence_penalty=1.0), [CARD])
    assert str(resolved) == "greedy, presence_penalty 1.0 (given)"
    assert (resolved.decoding.min_p, resolved.decoding.presence_penalty) == (0.0, 1.0)


def test_a_temperature_of_0_in_the_catalogue_goes_before_a_model_that_samples():
    greedy = SamplingDefaults("the catalogue", {"temperature": 0.0})
    config = SamplingDefaults.of_config(LLAMA_3)
    assert resolve_among(Sampling(), [greedy, config]).decoding == Decoding(1024)


def test_a_catalogue_that_states_a_penalty_alone_leaves_the_rest_to_the_model():
    penalty = SamplingDefaults("the catalogue", {"repetition_penalty": 1.1})
    config = SamplingDefaults.of_config(LLAMA_3)
    decoding = resolve_among(Sampling(seed=1), [penalty, config]).decoding
    assert decoding == Decoding(1024, 0.6, 0.9, repetition_penalty=1.1, seed=1)


def test_an_answer_without_thinking_is_sampled_as_is_stated_for_it():
    card = SamplingDefaults(
        "the catalogue", {"temperature": 0.6, "top_k": 20}, {"temperature": 0.7}
    )
    config = SamplingDefaults.of_config(LLAMA_3)
    with_it = resolve_among(Sampling(seed=1), [card, config]).decoding
    without = resolve_among(Sampling(seed=1), [card, config], thinks=False).decoding
    assert with_it == Decoding(1024, 0.6, 0.9, 20, seed=1)
    assert without == Decoding(1024, 0.7, 0.9, seed=1)


def test_without_thinking_what_is_stated_of_all_answers_holds():
    decoding = resolve_among(Sampling(seed=1), [CARD], thinks=False).decoding
    assert (decoding.temperature, decoding.min_p) == (0.2, 0.1)


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=list(CATALOGUE))
def test_the_catalogue_states_options_within_their_bounds(model):
    from_mapping(Sampling, model.sampling)
    from_mapping(Sampling, model.sampling_without_thinking)
    assert model.sampling or not model.sampling_without_thinking


def test_a_seed_of_32_bits_is_itself_and_any_other_is_folded_to_as_many():
    for seed in (0, 1, 2**32 - 1):
        assert fold_seed(seed) == seed
    others = [-2, -3, 2**32, 2**32 + 1, 2**63, -(2**63) + 1, 2**64 - 1]
    folded = [fold_seed(seed) for seed in others]
    assert all(0 <= seed < 2**32 for seed in folded)
    assert len({*folded}) == len(others)
    assert fold_seed(-2) == fold_seed(2**64 - 2)  # the same bits
    resolved = resolve(Sampling(temperature=1.0, seed=-2), {})
    assert resolved.seed == fold_seed(-2)


def test_a_seed_of_minus_one_draws_one():
    drawn = [resolve_among(Sampling(temperature=1.0, seed=-1), []) for _ in range(4)]
    assert len({one.decoding.seed for one in drawn}) > 1
    assert drawn[0].origins["seed"] == "drawn"


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_beyond_64_bits_is_refused(seed):
    with pytest.raises(UsageError, match="--seed"):
        Sampling(seed=seed)


def test_biases_are_by_token_id_and_those_of_0_are_none():
    asked = Sampling(logit_bias={"9": 2, 3: -100.0, 5: 0})
    assert asked.logit_bias == {9: 2.0, 3: -100.0, 5: 0.0}
    resolved = resolve_among(asked, [])
    assert resolved.decoding == Decoding(1024, logit_bias=((3, -100.0), (9, 2.0)))
    assert resolved.as_dict()["logit_bias"]["origin"] == "given"
    assert resolve(Sampling(logit_bias={}), {}) == Decoding(1024)


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        ({1: 101}, "101 is above its maximum"),
        ({1: "2"}, "takes numbers"),
        ({"Paris": 1}, "takes token ids, not 'Paris'"),
        ({-1: 1}, "takes token ids, not -1"),
        ([1], "--logit-bias takes"),
    ],
)
def test_a_bias_that_is_none_is_refused(bias, message):
    with pytest.raises(UsageError, match=message):
        Sampling(logit_bias=bias)
