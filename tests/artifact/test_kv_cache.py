from __future__ import annotations

import pytest

from aipc.artifact.kv_cache import cached_numbers

PHI3 = {"num_hidden_layers": 32, "hidden_size": 3072, "num_attention_heads": 32}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PHI3, 2 * 32 * 3072),
        ({**PHI3, "num_key_value_heads": 8}, 2 * 32 * 768),
        ({**PHI3, "num_key_value_heads": 8, "head_dim": 128}, 2 * 32 * 1024),
        ({**PHI3, "num_attention_heads": 0}, 0),
        ({"num_hidden_layers": 3}, 0),
        ({}, 0),
    ],
)
def test_numbers_of_a_token_follow_from_the_config(config, expected):
    assert cached_numbers(config) == expected
