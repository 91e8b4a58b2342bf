"""Experts have one name each, however a checkpoint stores them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aipc.checkpoint import open_checkpoint
from aipc.errors import CheckpointError, UnsupportedModel

PLACE = "model.layers.0.mlp.experts"
RNG = np.random.default_rng(5)
GATE_UP = RNG.standard_normal((3, 4, 6)).astype(np.float32)
DOWN = RNG.standard_normal((3, 6, 2)).astype(np.float32)
COMMON = {
    "model.embed_tokens.weight": ("F32", np.ones((4, 6), np.float32)),
    "model.layers.0.input_layernorm.weight": ("F32", np.ones(6, np.float32)),
}


@pytest.fixture
def opened(make_safetensors, tmp_path):
    def open_with(model_type, tensors):
        make_safetensors(COMMON | tensors)
        config = {"model_type": model_type}
        if any(name.endswith("_blocks") for name in tensors):
            config["quantization_config"] = {"quant_method": "mxfp4"}
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "tokenizer.json").write_text("{}")
        return open_checkpoint(tmp_path)

    return open_with


def test_a_stack_of_gates_then_ups_is_taken_apart(opened):
    stacks = {f"{PLACE}.gate_up_proj": ("F32", GATE_UP), f"{PLACE}.down_proj": ("F32", DOWN)}
    checkpoint = opened("qwen3_moe", stacks)
    assert f"{PLACE}.gate_up_proj" not in checkpoint.tensors
    for expert in range(3):
        gate, up = (f"{PLACE}.{expert}.{kind}_proj.weight" for kind in ("gate", "up"))
        assert checkpoint.tensors[gate].shape == (2, 6)
        assert checkpoint.tensors[gate].nbytes == 48
        np.testing.assert_array_equal(checkpoint.rows(gate), GATE_UP[expert, :2])
        np.testing.assert_array_equal(checkpoint.rows(up, 1, 2), GATE_UP[expert, 3:])
        down = f"{PLACE}.{expert}.down_proj.weight"
        np.testing.assert_array_equal(checkpoint.rows(down, 2, 5), DOWN[expert, 2:5])
    with pytest.raises(CheckpointError, match="no rows 0 to 3"):
        checkpoint.rows(gate, 0, 3)


def test_a_stack_by_columns_of_gates_and_ups_in_turn_is_turned(opened):
    by_columns = np.ascontiguousarray(GATE_UP.transpose(0, 2, 1))
    upper = (by_columns.view(np.uint32) >> 16).astype(np.uint16)
    exact = (upper.astype(np.uint32) << 16).view(np.float32).transpose(0, 2, 1)
    checkpoint = opened("gpt_oss", {f"{PLACE}.gate_up_proj": ("BF16", upper)})
    for first, kind in enumerate(("gate", "up")):
        name = f"{PLACE}.2.{kind}_proj.weight"
        assert checkpoint.tensors[name].shape == (2, 6)
        np.testing.assert_array_equal(checkpoint.rows(name, 1, 2), exact[2, first + 2 :][:1])


def test_a_stack_of_mxfp4_blocks(opened):
    blocks = RNG.integers(0, 256, (3, 4, 2, 16), np.uint8)
    scales = RNG.integers(120, 130, (3, 4, 2), np.uint8)
    parts = {"blocks": ("U8", blocks), "scales": ("U8", scales)}
    checkpoint = opened("gpt_oss", {f"{PLACE}.gate_up_proj_{k}": v for k, v in parts.items()})
    values = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    values = np.concatenate([values, -values])
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(3, 4, 2, 32)
    wanted = values[codes] * np.exp2(scales.astype(np.float32) - 127)[..., None]
    for expert in range(3):
        for first, kind in enumerate(("gate", "up")):
            name = f"{PLACE}.{expert}.{kind}_proj.weight"
            rows = wanted[expert, first::2].reshape(2, 64)
            np.testing.assert_array_equal(checkpoint.rows(name), rows)


def test_mixtrals_names(opened):
    old = "model.layers.0.block_sparse_moe"
    tensors = {
        f"{old}.gate.weight": ("F32", np.ones((3, 6), np.float32)),
        f"{old}.experts.1.w1.weight": ("F32", GATE_UP[1, :2]),
        f"{old}.experts.1.w3.weight": ("F32", GATE_UP[1, 2:]),
        f"{old}.experts.1.w2.weight": ("F32", DOWN[1]),
    }
    checkpoint = opened("mixtral", tensors)
    assert checkpoint.rows("model.layers.0.mlp.router.weight").shape == (3, 6)
    np.testing.assert_array_equal(checkpoint.rows(f"{PLACE}.1.up_proj.weight"), GATE_UP[1, 2:])
    np.testing.assert_array_equal(checkpoint.rows(f"{PLACE}.1.down_proj.weight"), DOWN[1])


def test_granites_names(opened):
    old = "model.layers.0.block_sparse_moe"
    tensors = {
        f"{old}.router.layer.weight": ("F32", np.ones((3, 6), np.float32)),
        f"{old}.input_linear.weight": ("F32", GATE_UP),
        f"{old}.output_linear.weight": ("F32", DOWN),
        "model.layers.0.shared_mlp.input_linear.weight": ("F32", GATE_UP[0]),
    }
    checkpoint = opened("granitemoeshared", tensors)
    assert checkpoint.rows("model.layers.0.mlp.router.weight").shape == (3, 6)
    np.testing.assert_array_equal(checkpoint.rows(f"{PLACE}.1.up_proj.weight"), GATE_UP[1, 2:])
    np.testing.assert_array_equal(checkpoint.rows(f"{PLACE}.2.down_proj.weight"), DOWN[2])
    assert "model.layers.0.shared_mlp.input_linear.weight" in checkpoint.tensors


def test_lfm2s_names(opened):
    old = "model.layers.1.feed_forward"
    tensors = {
        "model.layers.0.feed_forward.w1.weight": ("F32", GATE_UP[0, :2]),
        f"{old}.gate.weight": ("F32", np.ones((3, 6), np.float32)),
        f"{old}.expert_bias": ("F32", np.ones(3, np.float32)),
        f"{old}.experts.1.w1.weight": ("F32", GATE_UP[1, :2]),
        f"{old}.experts.1.w2.weight": ("F32", DOWN[1]),
    }
    checkpoint = opened("lfm2_moe", tensors)
    assert checkpoint.tensors.keys() - COMMON.keys() == {
        "model.layers.0.feed_forward.w1.weight",
        "model.layers.1.mlp.router.weight",
        "model.layers.1.mlp.router.choice_bias",
        "model.layers.1.mlp.experts.1.gate_proj.weight",
        "model.layers.1.mlp.experts.1.down_proj.weight",
    }
    down = checkpoint.rows("model.layers.1.mlp.experts.1.down_proj.weight")
    np.testing.assert_array_equal(down, DOWN[1])


def test_a_stack_of_whole_numbers_is_refused(opened):
    whole = np.zeros((3, 4, 6), np.int32)
    checkpoint = opened("qwen3_moe", {f"{PLACE}.gate_up_proj": ("I32", whole)})
    with pytest.raises(UnsupportedModel, match="I32"):
        checkpoint.rows(f"{PLACE}.0.gate_proj.weight")
