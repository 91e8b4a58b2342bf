from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from aipc.runtimes import kv_budget as module
from aipc.runtimes.kv_budget import cache_room, token_bytes

PHI3 = {"num_hidden_layers": 32, "hidden_size": 3072, "num_attention_heads": 32}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PHI3, 2 * 32 * 3072 * 2),
        ({**PHI3, "num_key_value_heads": 8}, 2 * 32 * 768 * 2),
        ({**PHI3, "num_key_value_heads": 8, "head_dim": 128}, 2 * 32 * 1024 * 2),
        ({"num_hidden_layers": 3}, 0),
        ([], 0),
    ],
)
def test_bytes_of_a_token_follow_from_the_config(config, expected, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert token_bytes(tmp_path) == expected


def test_room_is_a_share_of_the_memory_that_is_free(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps(PHI3))
    monkeypatch.setattr(module, "read_memory", lambda: SimpleNamespace(available=2**33))
    assert cache_room(tmp_path) == 2**32 // (2 * 32 * 3072 * 2)
    monkeypatch.setattr(module, "read_memory", lambda: SimpleNamespace(available=None))
    assert cache_room(tmp_path) is None


def test_a_folder_that_does_not_tell_has_no_bound(tmp_path):
    assert cache_room(tmp_path) is None
