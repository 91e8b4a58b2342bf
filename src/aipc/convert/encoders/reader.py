"""An `EncoderNetwork` from a config, checked against the checkpoint's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aipc.artifact.sentence_model import first_position, is_classifier
from aipc.checkpoint import Checkpoint
from aipc.convert.encoders.kinds import ENCODERS, EncoderFamily
from aipc.convert.encoders.network import EncoderBlock, EncoderNetwork, LayerNorm, ScoreHead
from aipc.convert.families.network_reader import check_all_shapes, named_garble
from aipc.convert.families.sizes import check_sizes
from aipc.convert.parts import Matrix, Vector
from aipc.convert.rope import Thetas, read_rope
from aipc.errors import CheckpointError, UnsupportedModel, quoted

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "tanh": "tanh",
}
_THETAS = Thetas(160_000.0, 10_000.0)


def read_encoder(checkpoint: Checkpoint) -> EncoderNetwork:
    """Describe a checkpoint's encoder, checking every tensor's shape against its config.

    Raises:
        UnsupportedModel: an option that the graph would compute wrongly, or another task than
            vectors of texts and scores of pairs.
        CheckpointError: a config and tensors that contradict each other.
    """
    family = ENCODERS[str(checkpoint.config["model_type"])]
    with named_garble(checkpoint.path):
        config = _config(checkpoint.config, family)
    check_sizes(checkpoint.path, config)
    with named_garble(checkpoint.path):
        _refuse_options(checkpoint, config)
        network = _EncoderReader(checkpoint, config, family).read()
    _check_tensors(network, checkpoint)
    return network


def _config(config: Mapping[str, Any], family: EncoderFamily) -> dict[str, Any]:
    """The config in BERT's words."""
    names = family.config_names or {}
    found = {**config, **{name: config[own] for name, own in names.items() if own in config}}
    found.setdefault("hidden_act", config.get("hidden_activation", "gelu"))
    if family.is_modern:
        found["layer_norm_eps"] = config.get("norm_eps", 1e-5)
        found.setdefault("rope_theta", config.get("global_rope_theta"))
        found.setdefault("rope_local_base_freq", config.get("local_rope_theta"))
    return found


def _refuse_options(checkpoint: Checkpoint, config: Mapping[str, Any]) -> None:
    wanted: Mapping[str, tuple[Any, ...]] = {
        "position_embedding_type": ("absolute", "sans_pos", None),
        "is_decoder": (False, None),
        "add_cross_attention": (False, None),
        "embedding_size": (config["hidden_size"], None),
        "hidden_act": tuple(_ACTIVATIONS),
    }
    for key, values in wanted.items():
        if config.get(key, values[0]) not in values:
            raise UnsupportedModel(
                f"'{checkpoint.path}' has {key} = {quoted(config[key])}, which has no graph here",
                "take an encoder without it",
            )
    if is_classifier(checkpoint.config):
        check_labels(checkpoint)


def check_labels(checkpoint: Checkpoint) -> None:
    """Refuse a head of several classes; as transformers counts them, two where none are named.

    Raises:
        UnsupportedModel: it has.
    """
    named = checkpoint.config.get("id2label")
    stated = int(checkpoint.config.get("num_labels") or 2)
    labels = len(named) if isinstance(named, Mapping) else stated
    if labels != 1:
        raise UnsupportedModel(
            f"'{checkpoint.path}' sorts texts into {labels} classes",
            "take one that gives one score (a reranker), or makes embeddings",
        )


class _EncoderReader:
    """Names the parts of one checkpoint's network and the tensors that they are stacked from."""

    def __init__(
        self, checkpoint: Checkpoint, config: Mapping[str, Any], family: EncoderFamily
    ) -> None:
        self._tensors = checkpoint.tensors
        self._config, self._family = config, family
        within = f"{family.prefix}{family.embedding}.weight"
        self._prefix = family.prefix if within in self._tensors else ""
        self._hidden = int(config["hidden_size"])
        self._scores = is_classifier(checkpoint.config)

    def read(self) -> EncoderNetwork:
        config, family, hidden = self._config, self._family, self._hidden
        heads = int(config["num_attention_heads"])
        if hidden % heads:
            raise ValueError(f"sizes: {heads} heads in {hidden}")
        first = first_position(config)
        rows = int(config["max_position_embeddings"])
        types = int(config.get("type_vocab_size") or 2) if family.types else 0
        own = self._prefix
        return EncoderNetwork(
            model_type=str(config["model_type"]),
            hidden=hidden,
            heads=heads,
            norm_epsilon=float(config.get("layer_norm_eps") or 1e-12),
            activation=_ACTIVATIONS[str(config["hidden_act"])],
            gated=family.is_modern,
            context=rows - first,
            embedding=self._matrix(
                "embedding", (own + family.embedding,), int(config["vocab_size"]), hidden
            ),
            positions=self._matrix("positions", (own + family.positions,), rows, hidden)
            if family.positions
            else None,
            first_position=first,
            types=Vector("types", (f"{own}{family.types}.weight",), types, entry=(hidden,))
            if types
            else None,
            embedding_norm=self._norm("embedding_norm", own + family.embedding_norm),
            blocks=tuple(self._block(at) for at in range(int(config["num_hidden_layers"]))),
            final_norm=self._norm("final_norm", own + family.final_norm)
            if family.final_norm
            else None,
            head=self._head() if self._scores else None,
        )

    def _block(self, index: int) -> EncoderBlock:
        family, hidden = self._family, self._hidden
        width = int(self._config["intermediate_size"])
        before, name = f"{self._prefix}{family.layer}.{index}.", f"block.{index}."

        def norm(kind: str, part: str) -> LayerNorm | None:
            is_identity = family.is_modern and kind == "attention_norm" and index == 0
            return self._norm(name + kind, before + part) if part and not is_identity else None

        joint = tuple(before + part for part in family.query_key_value)
        up_rows = 2 * width if family.is_modern else width
        out, up, down = ((before + part,) for part in (family.out, family.up, family.down))
        window, layer_type = self._window(index)
        return EncoderBlock(
            attention_norm=norm("attention_norm", family.attention_norm),
            query_key_value=self._matrix(f"{name}query_key_value", joint, 3 * hidden, hidden),
            bias=self._bias(f"{name}bias", joint, 3 * hidden),
            out=self._matrix(f"{name}attention_out", out, hidden, hidden),
            out_bias=self._bias(f"{name}attention_out_bias", out, hidden),
            attention_out_norm=norm("attention_out_norm", family.attention_out_norm),
            feed_forward_norm=norm("feed_forward_norm", family.feed_forward_norm),
            up=self._matrix(f"{name}up", up, up_rows, hidden),
            up_bias=self._bias(f"{name}up_bias", up, up_rows),
            down=self._matrix(f"{name}down", down, hidden, width),
            down_bias=self._bias(f"{name}down_bias", down, hidden),
            feed_forward_out_norm=norm("feed_forward_out_norm", family.feed_forward_out_norm),
            window=window,
            rope=read_rope(
                self._config,
                hidden // int(self._config["num_attention_heads"]),
                _THETAS,
                layer_type,
            )
            if family.is_modern
            else None,
        )

    def _window(self, index: int) -> tuple[int | None, str]:
        """How far the layer's tokens attend, and what its type is called."""
        full, sliding = "full_attention", "sliding_attention"
        if not self._family.is_modern:
            return None, full
        every = int(self._config.get("global_attn_every_n_layers") or 3)
        stated = self._config.get("layer_types")
        kind = stated[index] if stated else sliding if index % every else full
        if kind not in {full, sliding}:
            raise ValueError(f"layer_types {quoted(stated)}")
        return (
            (int(self._config.get("local_attention") or 128) // 2 + 1, kind)
            if (kind == sliding)
            else (None, kind)
        )

    def _head(self) -> ScoreHead:
        family, hidden = self._family, self._hidden
        own = self._config if family.is_modern else {}
        activation = str(own.get("classifier_activation") or family.dense_activation)
        pooling = str(own.get("classifier_pooling") or "cls")
        if pooling not in {"cls", "mean"} or activation not in _ACTIVATIONS:
            raise ValueError(f"its head: {quoted(pooling)}, {quoted(activation)}")
        norm = self._norm("head.norm", family.dense_norm) if family.dense_norm else None
        dense, out = (family.dense,), (family.score,)
        return ScoreHead(
            pooling=pooling,
            dense=self._matrix("head.dense", dense, hidden, hidden),
            dense_bias=self._bias("head.dense_bias", dense, hidden),
            activation=_ACTIVATIONS[activation],
            norm=norm,
            out=self._matrix("head.score", out, 1, hidden),
            out_bias=self._bias("head.score_bias", out, 1),
        )

    def _matrix(self, name: str, parts: tuple[str, ...], rows: int, columns: int) -> Matrix:
        return Matrix(name, tuple(f"{part}.weight" for part in parts), rows, columns)

    def _bias(self, name: str, parts: tuple[str, ...], length: int) -> Vector | None:
        """None where the checkpoint has none: a config does not say so of every part."""
        names = tuple(f"{part}.bias" for part in parts)
        return Vector(name, names, length) if names[0] in self._tensors else None

    def _norm(self, name: str, part: str) -> LayerNorm:
        """By its names of today, or those of before 2020."""
        weight, bias = (
            old if old in self._tensors else f"{part}.{new}"
            for old, new in ((f"{part}.gamma", "weight"), (f"{part}.beta", "bias"))
        )
        return LayerNorm(
            Vector(name, (weight,), self._hidden),
            Vector(f"{name}.bias", (bias,), self._hidden) if bias in self._tensors else None,
        )


def _check_tensors(network: EncoderNetwork, checkpoint: Checkpoint) -> None:
    """Heads for other tasks may lie beside the encoder; a part of itself may not be left over."""
    known = check_all_shapes(checkpoint, network)
    family = ENCODERS[network.model_type]
    inside = tuple(
        f"{before}{part}."
        for before in ("", family.prefix)
        for part in (family.layer, "embeddings")
    )
    extra = [name for name in checkpoint.tensors if name.startswith(inside) and name not in known]
    if extra:
        raise CheckpointError(
            f"{checkpoint.path}: {len(extra)} tensors, such as {extra[0]}, are of no part that its"
            " config gives",
            "take config.json and weights of the same model",
        )
