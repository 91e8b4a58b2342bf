"""The known kinds of encoders, and what a checkpoint makes of texts.

The names are those of the classes of the transformers package: models/bert, roberta, xlm_roberta,
camembert, distilbert, electra and modernbert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aipc.artifact.sentence_model import Task, is_classifier
from aipc.artifact.sentence_modules import pools, token_scores


@dataclass(frozen=True)
class EncoderFamily:
    """How a kind of encoder calls its parts; the defaults are BERT's, "" what it does not have."""

    prefix: str = "bert."
    """Before the names of the encoder's own tensors where a head lies beside it."""
    embedding: str = "embeddings.word_embeddings"
    positions: str = "embeddings.position_embeddings"
    types: str = "embeddings.token_type_embeddings"
    embedding_norm: str = "embeddings.LayerNorm"
    layer: str = "encoder.layer"
    query_key_value: tuple[str, ...] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    )
    out: str = "attention.output.dense"
    attention_norm: str = ""
    attention_out_norm: str = "attention.output.LayerNorm"
    feed_forward_norm: str = ""
    up: str = "intermediate.dense"
    down: str = "output.dense"
    feed_forward_out_norm: str = "output.LayerNorm"
    final_norm: str = ""
    dense: str = "bert.pooler.dense"
    """Of the head that gives a score."""
    dense_activation: str = "tanh"
    dense_norm: str = ""
    score: str = "classifier"
    is_modern: bool = False
    """Rotary embedding, windows, a gate, biases only where the config says so (ModernBERT)."""
    config_names: Mapping[str, str] | None = None
    """What the config calls BERT's sizes, where it has other words."""


_BERT = EncoderFamily()
_ROBERTA = EncoderFamily(prefix="roberta.", dense="classifier.dense", score="classifier.out_proj")
ENCODERS: Mapping[str, EncoderFamily] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": EncoderFamily(
        prefix="distilbert.",
        types="",
        layer="transformer.layer",
        query_key_value=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        out="attention.out_lin",
        attention_out_norm="sa_layer_norm",
        up="ffn.lin1",
        down="ffn.lin2",
        feed_forward_out_norm="output_layer_norm",
        dense="pre_classifier",
        dense_activation="relu",
        config_names={
            "hidden_size": "dim",
            "intermediate_size": "hidden_dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "hidden_act": "activation",
        },
    ),
    "electra": replace(_ROBERTA, prefix="electra.", dense_activation="gelu"),
    "modernbert": EncoderFamily(
        prefix="model.",
        embedding="embeddings.tok_embeddings",
        positions="",
        types="",
        embedding_norm="embeddings.norm",
        layer="layers",
        query_key_value=("attn.Wqkv",),
        out="attn.Wo",
        attention_norm="attn_norm",
        attention_out_norm="",
        feed_forward_norm="mlp_norm",
        up="mlp.Wi",
        down="mlp.Wo",
        feed_forward_out_norm="",
        final_norm="final_norm",
        dense="head.dense",
        dense_activation="gelu",
        dense_norm="head.norm",
        is_modern=True,
    ),
}


def checkpoint_task(folder: Path, config: Mapping[str, Any]) -> Task | None:
    """What the checkpoint in ``folder`` makes of texts, by its config.json; None: it writes text.

    Raises:
        ArtifactError: a damaged modules.json.
    """
    if is_classifier(config) or token_scores(folder) is not None:
        return "scores"
    return "embeddings" if is_encoder(config) or pools(folder) else None


def is_encoder(config: Mapping[str, Any]) -> bool:
    """Whether its network is one of `ENCODERS`."""
    return str(config.get("model_type")) in ENCODERS
