"""A Network from a config, checked against the checkpoint's tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aipc.checkpoint import Checkpoint
from aipc.checkpoint.text_network import EMBEDDING, HEAD
from aipc.convert.families.blocks import Parts, softcap, token_width
from aipc.convert.families.family import Family
from aipc.convert.families.layers import context_length, looks_ahead, read_layers
from aipc.convert.families.other_networks import refuse_other_tasks, unknown_network
from aipc.convert.families.sizes import check_layers, check_numbers, check_sizes
from aipc.convert.families.table import FAMILIES, find_family
from aipc.convert.network import Attention, Layered, Network, TokenInputs
from aipc.convert.parts import Matrix, Vector
from aipc.errors import CheckpointError, UnsupportedModel

HEAD_BIAS = "lm_head.bias"
_ONE_MODEL = "take config.json and weights of the same model"
_WITHOUT_HEAD = (
    'set "tie_word_embeddings": true in config.json if its head is its embedding; without a head it'
    " makes embeddings and writes no text"
)


def read_network(checkpoint: Checkpoint) -> Network:
    """Describe a checkpoint's network, checking every tensor's shape against its config.

    Raises:
        UnsupportedModel: an unknown network, or an unknown option of one.
        CheckpointError: a config and tensors that contradict each other.
    """
    config = checkpoint.config
    if str(config.get("model_type")) not in FAMILIES:
        raise unknown_network(checkpoint.path, config, FAMILIES)
    refuse_other_tasks(checkpoint.path, config)
    check_numbers(checkpoint.path, config)
    with named_garble(checkpoint.path):
        config = FAMILIES[str(config["model_type"])].read_config(config)
    check_sizes(checkpoint.path, config)
    check_layers(checkpoint.path, config, checkpoint.tensors)
    family = find_family(config)
    with named_garble(checkpoint.path):
        network = _describe(config, family)
    _check_tensors(network, checkpoint)
    return network


def describe_network(config: Mapping[str, Any]) -> Network:
    """The network of a model that is not here, by what is known of its config.json.

    ``config`` is of one of `FAMILIES`, and has at least the sizes.

    Raises:
        UnsupportedModel: an option of the family that is not known.
        KeyError: another network, or a size that is missing.
    """
    config = FAMILIES[str(config["model_type"])].read_config(config)
    return _describe(config, find_family(config))


@contextmanager
def named_garble(path: Path) -> Iterator[None]:
    """Name the config where what it says can't be read.

    Raises:
        CheckpointError: in place of what Python raises.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: config.json lacks or garbles {error}",
            "correct it there: the model's page has the right one",
        ) from error


def _describe(config: Mapping[str, Any], family: Family) -> Network:
    hidden, intermediate = int(config["hidden_size"]), int(config["intermediate_size"])
    if min(hidden, intermediate) < 1:
        raise ValueError(f"sizes: {hidden} and {intermediate} wide")
    embedding = Matrix("embedding", (EMBEDDING,), int(config["vocab_size"]), hidden)
    tied = bool(config.get("tie_word_embeddings", family.is_tied))
    return Network(
        model_type=str(config["model_type"]),
        hidden=hidden,
        intermediate=intermediate,
        norm_epsilon=float(config["rms_norm_eps"]),
        activation=family.activation,
        context=context_length(config),
        embedding=embedding,
        blocks=tuple(
            Parts(config, family, index).block(layer)
            for index, layer in enumerate(read_layers(config, family))
        ),
        final_norm=_final_norm(family, hidden),
        head=embedding if tied else Matrix("head", (HEAD,), embedding.rows, hidden),
        embedding_scale=_embedding_scale(config, family),
        residual_scale=_multiplier(config, family, "residual_multiplier"),
        logits_scale=1 / _multiplier(config, family, "logits_scaling"),
        logits_softcap=softcap(config, "final_logit_softcapping") if family.caps_logits else None,
        token_inputs=_token_inputs(config, family),
        head_bias=Vector("head_bias", (HEAD_BIAS,), embedding.rows)
        if config.get("lm_head_bias")
        else None,
        causal=not looks_ahead(config, family),
    )


def _final_norm(family: Family, hidden: int) -> Vector:
    name = family.final_norm
    bias = Vector("final_norm_bias", (f"{name}.bias",), hidden) if family.layer_norms else None
    return Vector("final_norm", (f"{name}.weight",), hidden, family.norm_offset, bias=bias)


def _token_inputs(config: Mapping[str, Any], family: Family) -> TokenInputs | None:
    width, hidden = token_width(config, family), int(config["hidden_size"])
    if not width:
        return None
    rows = int(config.get("vocab_size_per_layer_input") or config["vocab_size"])
    all_layers = int(config["num_hidden_layers"]) * width
    name = "model.{}.weight".format
    return TokenInputs(
        width=width,
        embedding=Matrix("token_embedding", (name("embed_tokens_per_layer"),), rows, all_layers),
        projection=Matrix(
            "token_projection", (name("per_layer_model_projection"),), all_layers, hidden
        ),
        norm=Vector("token_norm", (name("per_layer_projection_norm"),), width),
    )


def _embedding_scale(config: Mapping[str, Any], family: Family) -> float:
    if family.scales_embedding:
        return math.sqrt(config["hidden_size"])
    return _multiplier(config, family, "embedding_multiplier")


def _multiplier(config: Mapping[str, Any], family: Family, key: str) -> float:
    return float(config.get(key, 1)) if family.has_multipliers else 1.0


def _check_tensors(network: Network, checkpoint: Checkpoint) -> None:
    expected = check_all_shapes(checkpoint, network)
    if network.tied:
        expected.add(HEAD)
    expected.update(_of_sharing_layers(network))
    extra = [name for name in checkpoint.tensors if name not in expected]
    extra = [name for name in extra if not _is_zero_bias(checkpoint, name)]
    if extra:
        raise UnsupportedModel(
            f"the checkpoint has {len(extra)} tensors that a plain {network.model_type} has not, "
            f"such as {extra[0]}",
            "merge adapters and undo quantization first",
        )


def _is_zero_bias(checkpoint: Checkpoint, name: str) -> bool:
    """AutoGPTQ writes a bias for every layer that it packs, of zeros where there was none."""
    is_bias = name.endswith(".bias") and len(checkpoint.tensors[name].shape) == 1
    return is_bias and not checkpoint.rows(name).any()


def _of_sharing_layers(network: Network) -> Iterator[str]:
    """Tensors that checkpoints have although nothing takes them."""
    for index, block in enumerate(network.blocks):
        if isinstance(block.mixer, Attention) and block.mixer.shares is not None:
            for part in ("k_proj", "v_proj", "k_norm", "v_norm"):
                yield f"model.layers.{index}.self_attn.{part}.weight"


def check_all_shapes(checkpoint: Checkpoint, network: Layered) -> set[str]:
    """`check_shapes` of every matrix and vector; gives the names of their tensors."""
    names: set[str] = set()
    for matrix in network.matrices():
        check_shapes(checkpoint, matrix.tensors, (matrix.rows, matrix.columns))
        names.update(matrix.tensors)
    for vector in network.vectors():
        check_shapes(checkpoint, vector.tensors, vector.shape)
        names.update(vector.tensors)
    return names


def check_shapes(checkpoint: Checkpoint, names: tuple[str, ...], wanted: tuple[int, ...]) -> None:
    """Check that the tensors, stacked along their first axis, have the wanted shape.

    Raises:
        CheckpointError: one is missing, or of another shape.
    """
    rows = 0
    for name in names:
        info = checkpoint.tensors.get(name)
        if info is None:
            fix = _WITHOUT_HEAD if name == HEAD else _ONE_MODEL
            raise CheckpointError(f"{checkpoint.path}: the tensor {name} is missing", fix)
        if len(info.shape) != len(wanted) or info.shape[1:] != wanted[1:]:
            raise _mismatch(checkpoint, name, info.shape, wanted)
        rows += info.shape[0]
    if rows != wanted[0]:
        raise _mismatch(checkpoint, " + ".join(names), (rows, *wanted[1:]), wanted)


def _mismatch(
    checkpoint: Checkpoint, name: str, shape: tuple[int, ...], wanted: tuple[int, ...]
) -> CheckpointError:
    fix = _ONE_MODEL
    if name == EMBEDDING and shape[1:] == wanted[1:]:
        fix = f'set "vocab_size": {shape[0]} in config.json if tokens were added'
    return CheckpointError(
        f"{checkpoint.path}: {name} has shape {list(shape)}, the config gives {list(wanted)}",
        fix,
    )
