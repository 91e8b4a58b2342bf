"""The known network families, by the names of their parts, and a Network from a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aipc.checkpoint import Checkpoint
from aipc.convert.network import Block, Matrix, Network, Vector
from aipc.convert.rope import read_rope
from aipc.errors import CheckpointError, UnsupportedModel

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
_FETCH_AGAIN = "fetch the checkpoint again"
DERIVED = "rotary_emb.inv_freq"  # a buffer that old checkpoints carry; computed from the config
_SEPARATE = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_GATE_UP = ("mlp.gate_proj", "mlp.up_proj")

UNSUPPORTED = {  # config key -> the only values that the graph computes correctly
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "use_sliding_window": (False, None),
    "quantization_config": (None,),
}


@dataclass(frozen=True)
class Family:
    """How a network differs from llama; the defaults are llama's."""

    query_key_value: tuple[str, ...] = _SEPARATE
    gate_up: tuple[str, ...] = _GATE_UP
    has_window: bool = False
    has_bias: bool = False
    """Query, key and value have a bias."""
    norms_heads: bool = False
    """Query and key are normed, each head by itself."""
    norm_offset: float = 0.0
    """Norm weights are stored less this."""
    scales_embedding: bool = False
    """Embeddings are multiplied by the square root of the hidden size."""
    is_tied: bool = False
    """Head and embedding share a matrix where the config does not state it."""
    activation: str = "silu"
    activation_names: tuple[Any, ...] = ("silu",)
    """The allowed ``hidden_act`` of a config."""


FAMILIES = {
    "llama": Family(),
    "phi3": Family(("self_attn.qkv_proj",), ("mlp.gate_up_proj",), has_window=True),
    "mistral": Family(has_window=True),
    "qwen2": Family(has_bias=True),
    "qwen3": Family(norms_heads=True),
    "gemma": Family(
        norm_offset=1.0,
        scales_embedding=True,
        is_tied=True,
        activation="gelu_tanh",
        activation_names=("gelu", "gelu_pytorch_tanh"),
    ),
}


def read_network(checkpoint: Checkpoint) -> Network:
    """Describe a checkpoint's network, checking every tensor's shape against its config.

    Raises:
        UnsupportedModel: an unknown network, or an unknown option of one.
        CheckpointError: a config and tensors that contradict each other.
    """
    config = checkpoint.config
    family = _family(config)
    try:
        network = _describe(config, family)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{checkpoint.path}: config.json lacks or garbles {error}",
            _FETCH_AGAIN,
        ) from error
    _check_tensors(network, checkpoint)
    return network


def _family(config: Mapping[str, Any]) -> Family:
    model_type = config.get("model_type")
    if model_type not in FAMILIES:
        raise UnsupportedModel(
            f"the network '{model_type}' is not known here",
            f"known networks: {', '.join(FAMILIES)}",
        )
    family = FAMILIES[str(model_type)]
    for key, allowed in (UNSUPPORTED | {"hidden_act": family.activation_names}).items():
        if config.get(key, allowed[0]) not in allowed:
            value = str(config[key])
            raise UnsupportedModel(
                f"this {model_type} checkpoint has {key} = "
                + (value if len(value) <= 40 else value[:37] + "..."),
                f"only {allowed[0]} can be converted; look for an unquantized, plain checkpoint",
            )
    return family


def _describe(config: Mapping[str, Any], family: Family) -> Network:
    hidden, intermediate = int(config["hidden_size"]), int(config["intermediate_size"])
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    head_dim = int(config.get("head_dim") or hidden // heads)
    if min(hidden, intermediate, heads, kv_heads, head_dim) < 1 or heads % kv_heads:
        raise ValueError(f"sizes: {heads} heads of {head_dim} over {kv_heads} key-value heads")
    embedding = Matrix("embedding", (EMBEDDING,), int(config["vocab_size"]), hidden)
    tied = bool(config.get("tie_word_embeddings", family.is_tied))
    return Network(
        model_type=str(config["model_type"]),
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        norm_epsilon=float(config["rms_norm_eps"]),
        activation=family.activation,
        embedding_scale=hidden**0.5 if family.scales_embedding else 1.0,
        context=int(config["max_position_embeddings"]),
        window=_window(config) if family.has_window else None,
        rope=read_rope(config, head_dim),
        embedding=embedding,
        blocks=tuple(
            _block(family, index, hidden, intermediate, (heads, kv_heads, head_dim))
            for index in range(int(config["num_hidden_layers"]))
        ),
        final_norm=Vector("final_norm", ("model.norm.weight",), hidden, family.norm_offset),
        head=embedding if tied else Matrix("head", (HEAD,), embedding.rows, hidden),
    )


def _window(config: Mapping[str, Any]) -> int | None:
    window = config.get("sliding_window")
    return int(window) if window and int(window) < int(config["max_position_embeddings"]) else None


def _block(
    family: Family, index: int, hidden: int, intermediate: int, attention: tuple[int, int, int]
) -> Block:
    """The parts of one layer; ``attention`` is heads, key-value heads and the size of one."""
    heads, kv_heads, head_dim = attention
    query, joint = heads * head_dim, (heads + 2 * kv_heads) * head_dim

    def tensors(parts: tuple[str, ...], kind: str = "weight") -> tuple[str, ...]:
        return tuple(f"model.layers.{index}.{part}.{kind}" for part in parts)

    def matrix(name: str, parts: tuple[str, ...], rows: int, columns: int) -> Matrix:
        return Matrix(f"block.{index}.{name}", tensors(parts), rows, columns)

    def norm(name: str, part: str, length: int) -> Vector:
        return Vector(f"block.{index}.{name}", tensors((part,)), length, family.norm_offset)

    bias = Vector(f"block.{index}.bias", tensors(family.query_key_value, "bias"), joint)
    return Block(
        attention_norm=norm("attention_norm", "input_layernorm", hidden),
        query_key_value=matrix("query_key_value", family.query_key_value, joint, hidden),
        bias=bias if family.has_bias else None,
        query_norm=norm("query_norm", "self_attn.q_norm", head_dim) if family.norms_heads else None,
        key_norm=norm("key_norm", "self_attn.k_norm", head_dim) if family.norms_heads else None,
        attention_out=matrix("attention_out", ("self_attn.o_proj",), hidden, query),
        feed_forward_norm=norm("feed_forward_norm", "post_attention_layernorm", hidden),
        gate_up=matrix("gate_up", family.gate_up, 2 * intermediate, hidden),
        down=matrix("down", ("mlp.down_proj",), hidden, intermediate),
    )


def _check_tensors(network: Network, checkpoint: Checkpoint) -> None:
    expected: set[str] = set()
    for matrix in network.matrices():
        _check_shapes(checkpoint, matrix.tensors, (matrix.rows, matrix.columns))
        expected.update(matrix.tensors)
    for vector in network.vectors():
        _check_shapes(checkpoint, vector.tensors, (vector.length,))
        expected.update(vector.tensors)
    if network.tied:
        expected.add(HEAD)
    extra = [name for name in checkpoint.tensors if name not in expected and DERIVED not in name]
    if extra:
        raise UnsupportedModel(
            f"the checkpoint has {len(extra)} tensors that a plain {network.model_type} has not, "
            f"such as {extra[0]}",
            "merge adapters and undo quantization first",
        )


def _check_shapes(checkpoint: Checkpoint, names: tuple[str, ...], wanted: tuple[int, ...]) -> None:
    """Check that the tensors, stacked along their first axis, have the wanted shape."""
    rows = 0
    for name in names:
        info = checkpoint.tensors.get(name)
        if info is None:
            raise CheckpointError(f"{checkpoint.path}: the tensor {name} is missing", _FETCH_AGAIN)
        if len(info.shape) != len(wanted) or info.shape[1:] != wanted[1:]:
            raise _mismatch(checkpoint, name, info.shape, wanted)
        rows += info.shape[0]
    if rows != wanted[0]:
        raise _mismatch(checkpoint, " + ".join(names), (rows, *wanted[1:]), wanted)


def _mismatch(
    checkpoint: Checkpoint, name: str, shape: tuple[int, ...], wanted: tuple[int, ...]
) -> CheckpointError:
    return CheckpointError(
        f"{checkpoint.path}: {name} has shape {list(shape)}, the config gives {list(wanted)}",
        _FETCH_AGAIN,
    )
