from __future__ import annotations

import json
from types import SimpleNamespace

from aipc.runtimes import kv_budget as module
from aipc.runtimes.kv_budget import kv_budget

PHI3 = {"num_hidden_layers": 32, "hidden_size": 3072, "num_attention_heads": 32}


def test_room_is_a_share_of_the_memory_that_is_free(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps(PHI3))
    monkeypatch.setattr(module, "read_memory", lambda: SimpleNamespace(available=2**33))
    assert kv_budget(tmp_path) == 2**32 // (2 * 32 * 3072 * 2)


def test_a_folder_that_does_not_tell_has_no_bound(tmp_path):
    assert kv_budget(tmp_path) is None
