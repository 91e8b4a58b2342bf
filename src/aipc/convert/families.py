"""The known network families, by the names of their parts, and a Network from a config."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aipc.artifact.config import stretched_context
from aipc.artifact.kv_cache import CONVOLUTION, DELTA, layer_types
from aipc.checkpoint import Checkpoint
from aipc.checkpoint.text_network import EMBEDDING, HEAD
from aipc.convert.hybrid.configs import lfm2_config, plain, qwen3_5_config
from aipc.convert.hybrid.mixers import gated_delta, short_convolution
from aipc.convert.network import (
    Attention,
    Block,
    Matrix,
    Mixer,
    Network,
    TokenGate,
    TokenInputs,
    Vector,
)
from aipc.convert.other_networks import refuse_other_tasks, unknown_network
from aipc.convert.rope import LLAMA_THETAS, Rope, Thetas, read_rope
from aipc.convert.sizes import check_layers, check_sizes
from aipc.errors import CheckpointError, UnsupportedModel, quoted

_ONE_MODEL = "take config.json and weights of the same model"
_WITHOUT_HEAD = (
    'set "tie_word_embeddings": true in config.json if its head is its embedding; without a head it'
    " makes embeddings and writes no text"
)
_SEPARATE = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_GATE_UP = ("mlp.gate_proj", "mlp.up_proj")

_PROPORTIONAL = {"rope_type": "proportional", "partial_rotary_factor": 0.25}
"""Gemma 4's rotary embedding of layers that attend to all, where its config states none."""

UNSUPPORTED = {  # config key -> the only values that the graph computes correctly
    "use_bidirectional_attention": (False, None, "vision"),  # of images, which are left out
    "enable_moe_block": (False, None),
}


@dataclass(frozen=True)
class Norms:
    """The names of a block's norms over the hidden states; "" where it has none."""

    attention: str = "input_layernorm"
    attention_out: str = ""
    feed_forward: str = "post_attention_layernorm"
    feed_forward_out: str = ""


@dataclass(frozen=True)
class Windows:
    """Which layers have the config's ``sliding_window``, unless its ``layer_types`` say so.

    All have it, or all but every ``full_every``-th.
    """

    full_every: int = 0
    needs_leave: bool = False
    """Only where ``use_sliding_window``, and from layer ``max_window_layers`` on."""
    reads_types: bool = True


@dataclass(frozen=True)
class Family:
    """How a network differs from llama; the defaults are llama's."""

    query_key_value: tuple[str, ...] = _SEPARATE
    gate_up: tuple[str, ...] = _GATE_UP
    out: str = "self_attn.o_proj"
    down: str = "mlp.down_proj"
    final_norm: str = "model.norm"
    head_norms: tuple[str, str] = ("self_attn.q_norm", "self_attn.k_norm")
    read_config: Callable[[Mapping[str, Any]], Mapping[str, Any]] = plain
    """Gives what the config says in llama's terms."""
    mixers: frozenset[str] = frozenset()
    """What some of the config's ``layer_types`` have in place of attention."""
    gated: bool = False
    """`Attention.gated`."""
    norms: Norms = Norms()
    windows: Windows | None = None
    has_bias: bool = False
    """Query, key and value have a bias whatever the config says."""
    reads_bias: bool = False
    """The config's ``attention_bias`` and ``mlp_bias`` count."""
    norms_heads: bool = False
    """Query and key are normed, each head by itself."""
    norms_values: bool = False
    """Values are normed too, without a weight."""
    norms_width: bool = False
    """Query and key are normed, all heads together."""
    norm_offset: float = 0.0
    """Norm weights are stored less this."""
    scales_embedding: bool = False
    """Embeddings are multiplied by the square root of the hidden size."""
    has_multipliers: bool = False
    """The config's ``embedding_multiplier``, ``attention_multiplier`` … count."""
    query_width: int | None = None
    """Scores are divided by the root of the config's ``query_pre_attn_scalar``, else of this."""
    differs_by_type: bool = False
    """Layers that attend to all have sizes of their own; the last ones share keys and values; each
    adds what it makes of the token (Gemma 4)."""
    caps_scores: bool = False
    """The config's ``attn_logit_softcapping`` counts."""
    caps_logits: bool = False
    """The config's ``final_logit_softcapping`` counts."""
    thetas: Thetas = LLAMA_THETAS
    rotates_part: bool = False
    """The config's ``partial_rotary_factor`` counts."""
    skips_rope: bool = False
    """The config's ``no_rope_layers``, or every fourth layer, have no rotary embedding."""
    is_tied: bool = False
    """Head and embedding share a matrix where the config does not state it."""
    activation: str = "silu"
    activation_names: tuple[Any, ...] = ("silu",)
    """The allowed ``hidden_act`` or ``hidden_activation`` of a config."""


_GELU = ("gelu_pytorch_tanh", "gelu")
_FOUR_NORMS = Norms(
    attention_out="post_attention_layernorm",
    feed_forward="pre_feedforward_layernorm",
    feed_forward_out="post_feedforward_layernorm",
)
_GEMMA = Family(
    norm_offset=1.0,
    reads_bias=True,
    scales_embedding=True,
    is_tied=True,
    activation="gelu_tanh",
    activation_names=_GELU,
)
_GEMMA2 = replace(
    _GEMMA,
    norms=_FOUR_NORMS,
    windows=Windows(full_every=2),
    query_width=256,
    caps_scores=True,
    caps_logits=True,
)
_GEMMA3 = replace(
    _GEMMA2,
    windows=Windows(full_every=6),
    norms_heads=True,
    thetas=Thetas(1e6, 1e4),
    caps_scores=False,
)
_GEMMA4 = replace(
    _GEMMA3,
    norm_offset=0.0,
    reads_bias=False,
    norms_values=True,
    query_width=1,
    differs_by_type=True,
)
_MISTRAL = Family(windows=Windows(reads_types=False))
_OLMO2 = Family(
    norms=Norms("", "post_attention_layernorm", "", "post_feedforward_layernorm"),
    reads_bias=True,
    norms_width=True,
)
_QWEN_WINDOWS = Windows(needs_leave=True)

FAMILIES = {
    "llama": Family(reads_bias=True),
    "phi3": Family(
        ("self_attn.qkv_proj",),
        ("mlp.gate_up_proj",),
        windows=Windows(reads_types=False),
        rotates_part=True,
    ),
    "mistral": _MISTRAL,
    "ministral": Family(windows=Windows()),
    "ministral3": _MISTRAL,
    "qwen2": Family(has_bias=True, windows=_QWEN_WINDOWS),
    "qwen3": Family(norms_heads=True, reads_bias=True, windows=_QWEN_WINDOWS),
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma3_text": _GEMMA3,
    "gemma4_text": _GEMMA4,
    "smollm3": Family(
        reads_bias=True,
        windows=_QWEN_WINDOWS,
        thetas=Thetas(2e6),
        skips_rope=True,
        is_tied=True,
    ),
    "granite": Family(reads_bias=True, has_multipliers=True),
    "lfm2": Family(
        gate_up=("feed_forward.w1", "feed_forward.w3"),
        out="self_attn.out_proj",
        down="feed_forward.w2",
        final_norm="model.embedding_norm",
        head_norms=("self_attn.q_layernorm", "self_attn.k_layernorm"),
        read_config=lfm2_config,
        mixers=frozenset({CONVOLUTION}),
        norms=Norms("operator_norm", feed_forward="ffn_norm"),
        norms_heads=True,
        thetas=Thetas(1e6),
    ),
    "qwen3_5_text": Family(
        read_config=qwen3_5_config,
        mixers=frozenset({DELTA}),
        gated=True,
        rotates_part=True,
        reads_bias=True,
        norms_heads=True,
        norm_offset=1.0,
    ),
    "olmo2": _OLMO2,
    "olmo3": replace(_OLMO2, windows=Windows(full_every=4), thetas=Thetas(5e5, 5e5)),
}


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
    with _named_garble(checkpoint.path):
        config = FAMILIES[str(config["model_type"])].read_config(config)
    check_sizes(checkpoint.path, config)
    check_layers(checkpoint.path, config, checkpoint.tensors)
    family = _family(config)
    with _named_garble(checkpoint.path):
        network = _describe(config, family)
    _check_tensors(network, checkpoint)
    return network


@contextmanager
def _named_garble(path: Path) -> Iterator[None]:
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: config.json lacks or garbles {error}",
            "correct it there: the model's page has the right one",
        ) from error


def _family(config: Mapping[str, Any]) -> Family:
    model_type = str(config["model_type"])
    family = FAMILIES[model_type]
    allowed = dict(UNSUPPORTED)
    if not family.reads_bias:
        allowed |= dict.fromkeys(("attention_bias", "mlp_bias"), (False, None))
    for key in ("hidden_act", "hidden_activation"):
        allowed[key] = (*family.activation_names, None)
    for key, values in allowed.items():
        if config.get(key, values[0]) not in values:
            value = str(config[key])
            raise UnsupportedModel(
                f"this {model_type} checkpoint has {key} = "
                + (value if len(value) <= 40 else value[:37] + "..."),
                f"only {values[0]} can be converted; look for an unquantized, plain checkpoint",
            )
    return family


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
        context=_context(config),
        embedding=embedding,
        blocks=tuple(
            _Parts(config, family, index).block(layer)
            for index, layer in enumerate(_layers(config, family))
        ),
        final_norm=Vector(
            "final_norm", (f"{family.final_norm}.weight",), hidden, family.norm_offset
        ),
        head=embedding if tied else Matrix("head", (HEAD,), embedding.rows, hidden),
        embedding_scale=_embedding_scale(config, family),
        residual_scale=_multiplier(config, family, "residual_multiplier"),
        logits_scale=1 / _multiplier(config, family, "logits_scaling"),
        logits_softcap=_softcap(config, "final_logit_softcapping") if family.caps_logits else None,
        token_inputs=_token_inputs(config, family),
    )


def _context(config: Mapping[str, Any]) -> int:
    return max(int(config["max_position_embeddings"]), stretched_context(config))


def _token_width(config: Mapping[str, Any], family: Family) -> int:
    return int(config.get("hidden_size_per_layer_input", 256)) if family.differs_by_type else 0


def _token_inputs(config: Mapping[str, Any], family: Family) -> TokenInputs | None:
    width, hidden = _token_width(config, family), int(config["hidden_size"])
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


def _softcap(config: Mapping[str, Any], key: str) -> float | None:
    return float(config[key]) if config.get(key) else None


@dataclass(frozen=True)
class _Layer:
    """What one layer has of its own; ``mixer`` is "" for attention."""

    mixer: str
    window: int | None
    rope: Rope | None
    kv_heads: int
    head_dim: int
    intermediate: int
    shares: int | None = None
    values_are_keys: bool = False


def _layers(config: Mapping[str, Any], family: Family) -> list[_Layer]:
    types = _layer_types(config, family)
    windows = {"sliding_attention": _window(config)}
    turns = _turns(config, family, len(types))
    layers = []
    for index, (kind, turned) in enumerate(zip(types, turns, strict=True)):
        own = {**config, **_own_sizes(config, family, index, kind)}
        head_dim = _head_dim(own)
        layers.append(
            _Layer(
                mixer=kind if kind in family.mixers else "",
                window=windows.get(kind),
                rope=_rope(own, family, head_dim, kind) if turned else None,
                kv_heads=int(own.get("num_key_value_heads") or own["num_attention_heads"]),
                head_dim=head_dim,
                intermediate=int(own["intermediate_size"]),
            )
        )
    return _sharing(config, types, layers) if family.differs_by_type else layers


def _rope(config: Mapping[str, Any], family: Family, head_dim: int, kind: str) -> Rope:
    rope = read_rope(config, head_dim, family.thetas, kind)
    if rope.dimensions != head_dim and not family.rotates_part:
        raise UnsupportedModel(
            f"this {config['model_type']} checkpoint rotates {rope.dimensions} of {head_dim}"
            " dimensions of a head, where transformers rotates all",
            "take one whose partial_rotary_factor is 1",
        )
    return rope


def _own_sizes(
    config: Mapping[str, Any], family: Family, index: int, kind: str
) -> Mapping[str, Any]:
    """What a layer's config has in place of the network's."""
    if not family.differs_by_type or kind != "full_attention":
        return {}
    own: dict[str, Any] = {"head_dim": config.get("global_head_dim") or 512}
    if config.get("attention_k_eq_v") and config.get("num_global_key_value_heads"):
        own["num_key_value_heads"] = config["num_global_key_value_heads"]
    if not config.get("rope_parameters"):
        own["rope_parameters"] = {kind: _PROPORTIONAL}
    stated = config.get("per_layer_config")
    return {**own, **((stated or {}).get(str(index)) or {})}


def _sharing(config: Mapping[str, Any], types: list[str], layers: list[_Layer]) -> list[_Layer]:
    """The last ``num_kv_shared_layers`` take the keys and values of the last one of their type."""
    own = len(layers) - int(config.get("num_kv_shared_layers") or 0)
    last = {kind: index for index, kind in enumerate(types[:own])}
    times = 2 if config.get("use_double_wide_mlp") else 1
    is_same = bool(config.get("attention_k_eq_v"))
    return [
        replace(layer, values_are_keys=is_same and kind == "full_attention")
        if index < own
        else replace(layer, shares=last[kind], intermediate=times * layer.intermediate)
        for index, (kind, layer) in enumerate(zip(types, layers, strict=True))
    ]


def _head_dim(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _scale(config: Mapping[str, Any], family: Family, head_dim: int) -> float:
    """What queries times keys are multiplied by."""
    if family.has_multipliers:
        return float(config.get("attention_multiplier", 1))
    if family.query_width:
        return 1 / math.sqrt(config.get("query_pre_attn_scalar") or family.query_width)
    return float(head_dim**-0.5)


def _layer_types(config: Mapping[str, Any], family: Family) -> list[str]:
    """Of each layer, "full_attention", "sliding_attention", or another mixer's name."""
    layers, windows = int(config["num_hidden_layers"]), family.windows
    full, sliding = "full_attention", "sliding_attention"
    if family.mixers:
        return _known_types(layer_types(config), {full, *family.mixers}, layers)
    if windows is None or (windows.needs_leave and not config.get("use_sliding_window")):
        return [full] * layers
    if config.get("layer_types") and windows.reads_types:
        return _known_types(config["layer_types"], {full, sliding}, layers)
    if family.skips_rope:
        return [full if turned else sliding for turned in _turns(config, family, layers)]
    if windows.needs_leave:
        first = int(config.get("max_window_layers", 28))
        return [full if index < first else sliding for index in range(layers)]
    every = int(config.get("sliding_window_pattern") or windows.full_every)
    is_full = [every and (index + 1) % every == 0 for index in range(layers)]
    is_full[-1:] = [is_full[-1] or family.differs_by_type] if is_full else []
    return [full if one else sliding for one in is_full]


def _known_types(stated: list[str], known: set[str], layers: int) -> list[str]:
    attend = {"full_attention", "sliding_attention"}
    if len(stated) != layers or not known >= set(stated) or not attend & set(stated):
        raise ValueError(f"layer_types {quoted(stated)}")
    return list(stated)


def _window(config: Mapping[str, Any]) -> int | None:
    window = config.get("sliding_window")
    return int(window) if window and int(window) < _context(config) else None


def _turns(config: Mapping[str, Any], family: Family, layers: int) -> list[bool]:
    """Whether each layer has a rotary embedding."""
    if not family.skips_rope:
        return [True] * layers
    stated = config.get("no_rope_layers")  # 1 where a layer has one, whatever the name says
    if stated:
        if len(stated) != layers:
            raise ValueError(f"no_rope_layers {quoted(stated)}")
        return [bool(one) for one in stated]
    every = int(config.get("no_rope_layer_interval") or 4)
    return [(index + 1) % every != 0 for index in range(layers)]


@dataclass(frozen=True)
class _Parts:
    """Names the parts of one layer and the tensors that they are stacked from."""

    config: Mapping[str, Any]
    family: Family
    index: int

    def block(self, layer: _Layer) -> Block:
        family, norms = self.family, self.family.norms
        hidden, intermediate = int(self.config["hidden_size"]), layer.intermediate
        both, down = 2 * intermediate, (family.down,)
        return Block(
            mixer_norm=self._norm("attention_norm", norms.attention, hidden),
            mixer=self._mixer(layer),
            mixer_out_norm=self._norm("attention_out_norm", norms.attention_out, hidden),
            feed_forward_norm=self._norm("feed_forward_norm", norms.feed_forward, hidden),
            gate_up=self.matrix("gate_up", family.gate_up, both, hidden),
            gate_up_bias=self.bias("gate_up_bias", family.gate_up, both, has=self._has("mlp")),
            down=self.matrix("down", down, hidden, intermediate),
            down_bias=self.bias("down_bias", down, hidden, has=self._has("mlp")),
            feed_forward_out_norm=self._norm(
                "feed_forward_out_norm", norms.feed_forward_out, hidden
            ),
            token_gate=self._token_gate(hidden),
            scale=self._scale(),
        )

    def _token_gate(self, hidden: int) -> TokenGate | None:
        width = _token_width(self.config, self.family)
        if not width:
            return None
        norm = self.vector("token_out_norm", ("post_per_layer_input_norm",), hidden)
        return TokenGate(
            gate=self.matrix("token_gate", ("per_layer_input_gate",), width, hidden),
            out=self.matrix("token_out", ("per_layer_projection",), hidden, width),
            out_norm=norm,
        )

    def _scale(self) -> Vector | None:
        if not self.family.differs_by_type:
            return None
        return Vector(f"block.{self.index}.scale", (f"model.layers.{self.index}.layer_scalar",), 1)

    def _mixer(self, layer: _Layer) -> Mixer:
        if layer.mixer == CONVOLUTION:
            return short_convolution(self)
        return gated_delta(self) if layer.mixer == DELTA else self._attention(layer)

    def _attention(self, layer: _Layer) -> Attention:
        config, family, head_dim = self.config, self.family, layer.head_dim
        heads, kv_heads = int(config["num_attention_heads"]), layer.kv_heads
        if min(heads, kv_heads, head_dim) < 1 or heads % kv_heads:
            raise ValueError(f"sizes: {heads} heads of {head_dim} over {kv_heads} key-value heads")
        query, key, hidden = heads * head_dim, kv_heads * head_dim, int(config["hidden_size"])
        joint = query * (2 if family.gated else 1) + 2 * key
        parts, out = family.query_key_value, (family.out,)
        if layer.shares is not None:
            parts, joint = parts[:1], query
        elif layer.values_are_keys:
            parts = (*parts[:2], parts[1])
        has_bias = self._has("attention")
        of_query, of_key = family.head_norms
        key_norm = self._head_norm("key_norm", of_key, layer, key)
        return Attention(
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            scale=_scale(config, family, head_dim),
            window=layer.window,
            rope=layer.rope,
            softcap=_softcap(config, "attn_logit_softcapping") if family.caps_scores else None,
            query_key_value=self.matrix("query_key_value", parts, joint, hidden),
            bias=self.bias("bias", parts, joint, has=family.has_bias or has_bias),
            query_norm=self._head_norm("query_norm", of_query, layer, query),
            key_norm=key_norm if layer.shares is None else None,
            out=self.matrix("attention_out", out, hidden, query),
            out_bias=self.bias("attention_out_bias", out, hidden, has=has_bias),
            norms_values=family.norms_values,
            shares=layer.shares,
            gated=family.gated,
        )

    def _has(self, part: str) -> bool:
        """Whether "attention" or "mlp" has biases by the config's word."""
        return self.family.reads_bias and bool(self.config.get(f"{part}_bias"))

    def _head_norm(self, name: str, part: str, layer: _Layer, width: int) -> Vector | None:
        if not (self.family.norms_heads or self.family.norms_width):
            return None
        length = width if self.family.norms_width else layer.head_dim
        return self._norm(name, part, length)

    def _norm(self, name: str, part: str, length: int) -> Vector | None:
        return self.vector(name, (part,), length, self.family.norm_offset) if part else None

    def bias(self, name: str, parts: tuple[str, ...], length: int, *, has: bool) -> Vector | None:
        return self.vector(name, parts, length, kind=".bias") if has else None

    def matrix(self, name: str, parts: tuple[str, ...], rows: int, columns: int) -> Matrix:
        return Matrix(f"block.{self.index}.{name}", self._tensors(parts, ".weight"), rows, columns)

    def vector(
        self,
        name: str,
        parts: tuple[str, ...],
        length: int,
        offset: float = 0.0,
        kind: str = ".weight",
        entry: tuple[int, ...] = (),
    ) -> Vector:
        tensors = self._tensors(parts, kind)
        return Vector(f"block.{self.index}.{name}", tensors, length, offset, entry)

    def _tensors(self, parts: tuple[str, ...], kind: str) -> tuple[str, ...]:
        return tuple(f"model.layers.{self.index}.{part}{kind}" for part in parts)


def _check_tensors(network: Network, checkpoint: Checkpoint) -> None:
    expected: set[str] = set()
    for matrix in network.matrices():
        _check_shapes(checkpoint, matrix.tensors, (matrix.rows, matrix.columns))
        expected.update(matrix.tensors)
    for vector in network.vectors():
        _check_shapes(checkpoint, vector.tensors, vector.shape)
        expected.update(vector.tensors)
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


def _check_shapes(checkpoint: Checkpoint, names: tuple[str, ...], wanted: tuple[int, ...]) -> None:
    """Check that the tensors, stacked along their first axis, have the wanted shape."""
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
