from __future__ import annotations

import pytest

from aipc.artifact.rope_switch import rope_switch


@pytest.mark.parametrize(
    ("config", "switch"),
    [
        ({}, None),
        ({"rope_scaling": None, "original_max_position_embeddings": 4096}, None),
        ({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 4096}, 4096),
        ({"rope_scaling": {"type": "su"}, "original_max_position_embeddings": 4096}, 4096),
        (
            {
                "rope_parameters": {
                    "rope_type": "longrope",
                    "original_max_position_embeddings": 8192,
                }
            },
            8192,
        ),
        ({"rope_scaling": {"rope_type": "llama3", "original_max_position_embeddings": 8}}, None),
    ],
)
def test_only_long_rope_switches(config, switch):
    assert rope_switch(config) == switch
