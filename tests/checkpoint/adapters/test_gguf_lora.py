"""GGUF adapters change what the folders that they were made of change."""

from __future__ import annotations

import json

import lora
import numpy as np
import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.adapters.adapter import open_adapter
from aipc.checkpoint.adapters.merged import MergedAdapter
from aipc.errors import AipcError

CASES = ["plain", "all", "patterns", "embedding", "tied-embedding", "fused", "gemma"]


def merged_rows(base, adapter):
    checkpoint = open_checkpoint(base, [MergedAdapter(open_adapter(adapter), 0.5)])
    return {name: checkpoint.rows(name) for name in checkpoint.tensors}


@pytest.mark.parametrize("name", CASES)
def test_it_changes_the_same(name, tmp_path):
    """The rows of each head of a llama are in llama.cpp's own order there."""
    base, folder = lora.write_base(tmp_path / "base", name), lora.write_case(tmp_path / "own", name)
    file = lora.write_gguf(tmp_path / "own.gguf", name)
    if name == "patterns":  # a file has one alpha for all
        (folder / "adapter_config.json").write_text(
            json.dumps(lora.stated(name) | {"alpha_pattern": {}})
        )
    expected, plain = merged_rows(base, folder), open_checkpoint(base)
    found = merged_rows(base, file)
    assert found.keys() == expected.keys()
    assert any(
        not np.array_equal(rows, plain.rows(each))
        for each, rows in found.items()
        if each in plain.tensors
    )
    for each, rows in found.items():
        np.testing.assert_allclose(rows, expected[each], rtol=1e-6, atol=1e-7, err_msg=each)


def test_some_rows_at_a_time(tmp_path):
    base = lora.write_base(tmp_path / "base", "all")
    file = open_adapter(lora.write_gguf(tmp_path / "own.gguf", "all"))
    checkpoint = open_checkpoint(base, [MergedAdapter(file)])
    name = "model.layers.1.self_attn.k_proj.weight"
    whole = checkpoint.rows(name)
    parts = [checkpoint.rows(name, start, start + 3) for start in range(0, len(whole) - 3, 3)]
    assert np.array_equal(np.concatenate(parts), whole[: 3 * len(parts)])


def test_its_file_and_its_base_are_told(tmp_path):
    texts = {"general__base_model__0__name": "Llama 3.2 1B"}
    path = lora.write_gguf(tmp_path / "own.gguf", "plain", **texts)
    adapter = open_adapter(path)
    assert (adapter.paths, adapter.base) == ((path,), "Llama 3.2 1B")


def test_without_an_alpha_the_product_counts_as_it_is(tmp_path):
    stated = lora.stated("patterns") | {"lora_alpha": 0.0}
    values = lora.tensors("patterns", tiny.random_tensors(lora.base_config("patterns")))
    path = tmp_path / "own.gguf"
    lora.write_gguf_tensors(path, lora.base_config("patterns"), values, stated)
    assert {change.scale for change in open_adapter(path).low_rank.values()} == {1.0}


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        ({"general__type": "model"}, "own.gguf' is a model, no adapter; name it as the model"),
        ({"adapter__type": "ia3"}, "is an adapter of the kind 'ia3', which can't be used here"),
        ({"adapter__alora__invocation_tokens": "7"}, "of the kind 'alora'"),
    ],
)
def test_what_is_no_lora(texts, line, tmp_path):
    path = lora.write_gguf(tmp_path / "own.gguf", "plain", **texts)
    with pytest.raises(AipcError) as caught:
        open_adapter(path)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda v: v.pop(next(iter(v))), "self_attn.q_proj' has no lora_A; fetch or convert it"),
        (lambda v: v.update({next(iter(v)): np.full((4, 64), np.nan, np.float32)}), "no numbers"),
        (dict.clear, "it holds no tensors of an adapter"),
        (lambda v: v.update({next(iter(v)): np.ones((3, 64), np.float32)}), "of rank 3, and is"),
        (lambda v: v.update({next(iter(v)): np.ones((2, 4, 64), np.float32)}), "many matrices"),
    ],
)
def test_damage(change, line, tmp_path):
    values = lora.tensors("plain", tiny.random_tensors(lora.base_config("plain")))
    change(values)
    path = tmp_path / "own.gguf"
    lora.write_gguf_tensors(path, lora.base_config("plain"), values, lora.stated("plain"))
    with pytest.raises(AipcError) as caught:
        open_adapter(path)
    assert line in str(caught.value)


def test_a_norm_of_its_own_has_to_be_merged(tmp_path):
    path = tmp_path / "own.gguf"
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(64, np.float32))
    for write in ("header_to_file", "kv_data_to_file", "tensors_to_file"):
        getattr(writer, f"write_{write}")()
    writer.close()
    with pytest.raises(AipcError, match="otherwise than by a LoRA's product; merge it with llama"):
        open_adapter(path)


def test_heads_that_do_not_divide_its_rows(tmp_path):
    base = lora.write_base(tmp_path / "base", "plain")
    config = base / "config.json"
    stated = json.loads(config.read_text()) | {"num_attention_heads": 7}
    config.write_text(json.dumps(stated))
    adapter = open_adapter(lora.write_gguf(tmp_path / "own.gguf", "plain"))
    with pytest.raises(AipcError, match="7 heads do not divide the 64 rows"):
        open_checkpoint(base, [MergedAdapter(adapter)])
