from __future__ import annotations

import pytest

from aipc.errors import CheckpointError
from aipc.generate.sampling import resolve
from aipc.runtimes.base import Decoding
from aipc.runtimes.sampling import Sampling

LLAMA_3 = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 2]}


def test_silent_model_is_greedy():
    assert resolve(Sampling(), {"eos_token_id": 2}) == Decoding(1024)


def test_model_s_values_are_taken_where_nothing_is_asked():
    asked = Sampling(max_new_tokens=5, seed=3)
    assert resolve(asked, LLAMA_3) == Decoding(5, temperature=0.6, top_p=0.9, seed=3)


def test_what_is_asked_comes_first():
    asked = Sampling(temperature=1.5, top_p=1.0, top_k=7, repetition_penalty=1.1, seed=0)
    expected = Decoding(1024, 1.5, 1.0, 7, 1.1, 0)
    assert resolve(asked, {**LLAMA_3, "top_k": 50, "repetition_penalty": 1.3}) == expected


def test_zero_temperature_is_greedy_whatever_the_model_says():
    assert resolve(Sampling(temperature=0), LLAMA_3) == Decoding(1024)


def test_values_of_a_model_that_does_not_sample_are_not_taken():
    config = {"do_sample": False, "temperature": 0.7, "repetition_penalty": 1.2}
    assert resolve(Sampling(), config) == Decoding(1024, repetition_penalty=1.2)


@pytest.mark.parametrize("asked", [{"top_p": 0.5}, {"top_k": 3}])
def test_option_of_sampling_samples(asked):
    assert resolve(Sampling(**asked, seed=1), {}) == Decoding(1024, 1.0, **asked, seed=1)


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
