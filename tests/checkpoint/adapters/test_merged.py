"""Merged weights against the definitions and against peft (peft.npz, by make_reference.py)."""

from __future__ import annotations

from pathlib import Path

import lora
import networks
import numpy as np
import pytest
import reference
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.adapters.adapter import open_adapter
from aipc.checkpoint.adapters.merged import MergedAdapter, MergedWeights
from aipc.checkpoint.tensors import Grid, TensorInfo
from aipc.convert.families.network_reader import read_network
from aipc.errors import CheckpointError, UnsupportedModel

PEFT = Path(__file__).with_name("peft.npz")


def opened(folder, name, *strengths):
    base, adapter = lora.write_base(folder / "base", name), lora.write_case(folder / "own", name)
    found = open_adapter(adapter)
    return open_checkpoint(base, [MergedAdapter(found, one) for one in strengths or (1.0,)])


def rows(checkpoint):
    return {name: checkpoint.rows(name) for name in checkpoint.tensors}


@pytest.mark.parametrize("name", lora.CASES)
def test_merged_as_defined(name, tmp_path):
    checkpoint = opened(tmp_path, name)
    read_network(checkpoint)
    expected = lora.merged(name)
    for tensor, values in rows(checkpoint).items():
        np.testing.assert_allclose(values, expected[tensor], rtol=1e-5, atol=1e-6, err_msg=tensor)


@pytest.mark.parametrize("name", lora.CASES)
def test_merged_as_peft_computes_it(name, tmp_path):
    checkpoint = opened(tmp_path, name)
    logits = reference.logits(checkpoint.config, rows(checkpoint), lora.IDS)[[4, -1]]
    assert np.abs(logits - np.load(PEFT)[name]).max() < 1e-4


def test_what_peft_computes_is_not_the_base(tmp_path):
    for name in lora.CASES:
        config = lora.base_config(name)
        plain = reference.logits(config, tiny.random_tensors(config), lora.IDS)[[4, -1]]
        assert np.abs(plain - np.load(PEFT)[name]).max() > 0.1, name


def test_it_is_noted(tmp_path):
    base, values = (
        lora.write_base(tmp_path / "base", "plain"),
        lora.tensors("plain", tensors_of("plain")),
    )
    stated = lora.stated("plain") | {"base_model_name_or_path": "org/llama"}
    adapter = open_adapter(lora.write_adapter(tmp_path / "poet", stated, values))
    merged = [MergedAdapter(adapter), MergedAdapter(adapter, -0.5)]
    assert open_checkpoint(base, merged).notes == (
        "merged: poet; it was trained on org/llama",
        "merged: poet, times -0.5; it was trained on org/llama",
    )


def test_any_rows_are_those_of_all(tmp_path):
    checkpoint = opened(tmp_path, "dora")
    name = "model.layers.1.mlp.up_proj.weight"
    # a product of other rows is summed in another order
    np.testing.assert_allclose(
        checkpoint.rows(name, 7, 40), checkpoint.rows(name)[7:40], rtol=1e-6, atol=1e-6
    )


def test_ranks_beyond_those_read_at_a_time(tmp_path):
    config = tiny.CONFIGS["llama-gqa"]
    base = tiny.write_checkpoint(tmp_path / "base", config, tiny.random_tensors(config))
    rng, where = np.random.default_rng(1), "base_model.model.model.layers.0.mlp.up_proj"
    a = rng.standard_normal((300, 64)).astype(np.float32)
    b = rng.standard_normal((96, 300)).astype(np.float32)
    stated = {"peft_type": "LORA", "r": 300, "lora_alpha": 3}
    factors = {f"{where}.lora_A.weight": a, f"{where}.lora_B.weight": b}
    adapter = open_adapter(lora.write_adapter(tmp_path / "own", stated, factors))
    name = "model.layers.0.mlp.up_proj.weight"
    plain = open_checkpoint(base).rows(name)
    merged = open_checkpoint(base, [MergedAdapter(adapter)]).rows(name)
    np.testing.assert_allclose(merged, plain + 0.01 * (b @ a), rtol=1e-4, atol=1e-5)


def test_strength_and_several_in_turn(tmp_path):
    name = "model.layers.0.self_attn.q_proj.weight"
    base = open_checkpoint(lora.write_base(tmp_path / "base", "plain")).rows(name)
    change = lora.merged("plain")[name] - base
    none, half, both = (
        opened(tmp_path / str(number), "plain", *strengths).rows(name)
        for number, strengths in enumerate([(0.0,), (0.5,), (0.5, -2.0)])
    )
    np.testing.assert_array_equal(none, base)
    np.testing.assert_allclose(half, base + 0.5 * change, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both, base - 1.5 * change, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace(".weight", ".default.weight"),
        lambda name: name.removeprefix("base_model.model."),
        lambda name: name.replace("model.layers", "model.language_model.layers"),
    ],
)
def test_other_writers_names(rename, tmp_path):
    values = {rename(key): one for key, one in lora.tensors("plain", tensors_of("plain")).items()}
    lora.write_adapter(tmp_path / "own", lora.stated("plain"), values)
    base = lora.write_base(tmp_path / "base", "plain")
    checkpoint = open_checkpoint(base, [MergedAdapter(open_adapter(tmp_path / "own"))])
    for tensor, expected in lora.merged("plain").items():
        np.testing.assert_allclose(checkpoint.rows(tensor), expected, rtol=1e-5, atol=1e-6)


def test_whole_modules_have_no_scale(tmp_path):
    with pytest.raises(UnsupportedModel, match="trained whole, which have no scale; leave its"):
        opened(tmp_path, "whole", 0.5)


class OnGrids:
    """Weights that are all on one grid."""

    paths = ()

    def __init__(self, weights):
        self.tensors = {
            name: TensorInfo(name, "Q8_0", one.shape, 0) for name, one in weights.items()
        }

    def grid(self, _):
        return Grid(8, 32, sym=True)


def test_a_changed_matrix_is_on_no_grid(tmp_path):
    """Codes of the base's own would leave the adapter out."""
    adapter = open_adapter(lora.write_case(tmp_path, "plain"))
    merged = MergedWeights(OnGrids(tensors_of("plain")), [MergedAdapter(adapter)])
    assert merged.grid("model.layers.0.self_attn.q_proj.weight") is None
    assert merged.grid("model.layers.0.self_attn.k_proj.weight") == Grid(8, 32, sym=True)


def tensors_of(name):
    return tiny.random_tensors(lora.base_config(name))


@pytest.mark.parametrize(
    ("trained_on", "case", "line"),
    [
        ("Llama-3.2-1B", "all", r"'.*own' is an adapter for Llama-3.2-1B, and '.*base' is a phi3"),
        ("Qwen/Qwen2.5-0.5B", "fused", r"adapter for Qwen/Qwen2.5-0.5B, and '.*base' is a phi3"),
        ("", "dora", r"changes model.layers.0.* has none; name the model that it was trained on"),
    ],
)
def test_another_base(trained_on, case, line, tmp_path):
    base = lora.write_base(tmp_path / "base", "fused")
    values = lora.tensors(case, tensors_of(case))
    stated = lora.stated(case) | {"base_model_name_or_path": trained_on}
    adapter = open_adapter(lora.write_adapter(tmp_path / "own", stated, values))
    with pytest.raises(CheckpointError, match=line):
        open_checkpoint(base, [MergedAdapter(adapter)])


def test_a_base_of_other_sizes(tmp_path):
    config = tiny.CONFIGS["llama-gqa"] | {"intermediate_size": 128}
    base = tiny.write_checkpoint(tmp_path / "base", config, tiny.random_tensors(config))
    adapter = open_adapter(lora.write_case(tmp_path / "own", "plain"))
    with pytest.raises(
        CheckpointError, match=r"down_proj.weight \[64, 96\].*has one of \[64, 128\]"
    ):
        open_checkpoint(base, [MergedAdapter(adapter)])


def test_added_tokens(tmp_path):
    config = tiny.CONFIGS["llama-gqa"] | {"vocab_size": 250}
    tensors = tiny.random_tensors(config)
    base = tiny.write_checkpoint(tmp_path / "base", config, tensors)
    adapter = open_adapter(lora.write_case(tmp_path / "own", "whole"))
    with pytest.raises(CheckpointError, match="its training added tokens: merge it with peft"):
        open_checkpoint(base, [MergedAdapter(adapter)])


@pytest.mark.parametrize(
    ("network", "module", "tensor"),
    [
        ("qwen3_moe", "mlp.gate", "mlp.router"),
        ("qwen3_moe", "mlp.experts.5.down_proj", "mlp.experts.5.down_proj"),
        ("mixtral", "block_sparse_moe.experts.3.w3", "mlp.experts.3.up_proj"),
        ("lfm2_moe", "feed_forward.gate", "mlp.router"),
        ("qwen2_moe", "mlp.shared_expert.up_proj", "mlp.shared_expert.up_proj"),
    ],
)
def test_parts_of_a_mixture(network, module, tensor, tmp_path):
    """Whatever the library calls them whose classes were trained."""
    base = networks.Expected(network).write(tmp_path / "base")
    name, place = f"model.layers.2.{tensor}.weight", f"base_model.model.model.layers.2.{module}"
    with open_checkpoint(base) as checkpoint:
        plain = checkpoint.rows(name)
    rng = np.random.default_rng(3)
    down, up = rng.standard_normal((2, plain.shape[1])), rng.standard_normal((len(plain), 2))
    values = {
        f"{place}.lora_A.weight": down.astype(np.float32),
        f"{place}.lora_B.weight": up.astype(np.float32),
    }
    stated = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    own = open_adapter(lora.write_adapter(tmp_path / "own", stated, values))
    with open_checkpoint(base, [MergedAdapter(own, 1.0)]) as merged:
        np.testing.assert_allclose(merged.rows(name), plain + 2 * up @ down, rtol=1e-5, atol=1e-5)
