"""GGUF's tensor names and architectures in Hugging Face's terms.

Source: gguf's ``tensor_mapping.py`` and llama.cpp's ``convert_hf_to_gguf.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aipc.errors import UnsupportedModel, quoted

_ROOT = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_EXPERTS = {
    **{name: _BLOCK[name] for name in _BLOCK if name not in {"ffn_gate", "ffn_up", "ffn_down"}},
    "ffn_gate_inp": "mlp.router",
    "ffn_gate_exps": "mlp.experts.gate_proj",
    "ffn_up_exps": "mlp.experts.up_proj",
    "ffn_down_exps": "mlp.experts.down_proj",
}
_ONE_EXPERT = {"ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj"}
"""Of files from before experts were stacked (llama.cpp until April 2024)."""
_SHARED_EXPERT = {
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
_GPT_OSS = {
    **{name: _EXPERTS[name] for name in _EXPERTS if name != "ffn_norm"},
    "post_attention_norm": "post_attention_layernorm",
    "attn_sinks": "self_attn.sinks",
}
_FUSED = {
    **{name: _BLOCK[name] for name in ("attn_norm", "attn_output", "ffn_norm", "ffn_down")},
    "attn_qkv": "self_attn.qkv_proj",
    "ffn_up": "mlp.gate_up_proj",
}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_FOUR_NORMS = {
    **_BLOCK,
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_GEMMA4 = {
    **_FOUR_NORMS,
    **_HEAD_NORMS,
    "layer_output_scale": "layer_scalar",
    "inp_gate": "per_layer_input_gate",
    "proj": "per_layer_projection",
    "post_norm": "post_per_layer_input_norm",
}
_GEMMA4_ROOT = {
    **_ROOT,
    "per_layer_token_embd": "model.embed_tokens_per_layer",
    "per_layer_model_proj": "model.per_layer_model_projection",
    "per_layer_proj_norm": "model.per_layer_projection_norm",
}
_WHOLE = frozenset({"layer_scalar", "self_attn.sinks"})
"""Hugging Face's names without ".weight"."""
_POST_NORMS = {
    **{name: _FOUR_NORMS[name] for name in _FOUR_NORMS if name not in {"attn_norm", "ffn_norm"}},
    **_HEAD_NORMS,
}
ROPE_FREQS = "rope_freqs.weight"
ROPE_LONG = "rope_factors_long.weight"
ROPE_SHORT = "rope_factors_short.weight"
NOT_WEIGHTS = frozenset({ROPE_FREQS, ROPE_LONG, ROPE_SHORT})
"""Tensors that hold settings, which config.json has in other models."""

_NAME = re.compile(r"(?:blk\.(0|[1-9][0-9]{0,4})\.)?([a-z_]+)\.(weight|bias)", re.ASCII)
_EXPERT = re.compile(r"blk\.(0|[1-9]\d{0,4})\.([a-z_]+)\.(0|[1-9]\d{0,3})\.weight", re.ASCII)


@dataclass(frozen=True)
class Architecture:
    """A value of ``general.architecture``."""

    model_class: str
    block: Mapping[str, str]
    permuted: bool = False
    """Whether llama.cpp stores q and k with their rows permuted for interleaved rotation."""
    norm_offset: float = 0.0
    """What llama.cpp adds to the weights of norms."""
    always_biased: bool = False
    """Whether q, k and v have a bias without the config saying so."""
    root: Mapping[str, str] = field(default_factory=lambda: _ROOT)


ARCHITECTURES = {
    "llama": Architecture("LlamaForCausalLM", {**_BLOCK, **_EXPERTS}, permuted=True),
    "mistral3": Architecture("MistralForCausalLM", _BLOCK, permuted=True),
    "phi3": Architecture("Phi3ForCausalLM", _FUSED),
    "qwen2": Architecture("Qwen2ForCausalLM", _BLOCK, always_biased=True),
    "qwen2moe": Architecture(
        "Qwen2MoeForCausalLM", {**_EXPERTS, **_SHARED_EXPERT}, always_biased=True
    ),
    "qwen3": Architecture("Qwen3ForCausalLM", {**_BLOCK, **_HEAD_NORMS}),
    "qwen3moe": Architecture("Qwen3MoeForCausalLM", {**_EXPERTS, **_HEAD_NORMS}),
    "gpt-oss": Architecture("GptOssForCausalLM", _GPT_OSS),
    "phimoe": Architecture("PhimoeForCausalLM", _EXPERTS),
    "olmoe": Architecture("OlmoeForCausalLM", {**_EXPERTS, **_HEAD_NORMS}),
    "gemma": Architecture("GemmaForCausalLM", _BLOCK, norm_offset=1.0),
    "gemma2": Architecture("Gemma2ForCausalLM", _FOUR_NORMS, norm_offset=1.0),
    "gemma3": Architecture("Gemma3ForCausalLM", {**_FOUR_NORMS, **_HEAD_NORMS}, norm_offset=1.0),
    "gemma4": Architecture("Gemma4ForCausalLM", _GEMMA4, root=_GEMMA4_ROOT),
    "granite": Architecture("GraniteForCausalLM", _BLOCK, permuted=True),
    "granitemoe": Architecture("GraniteMoeForCausalLM", _EXPERTS, permuted=True),
    "smollm3": Architecture("SmolLM3ForCausalLM", _BLOCK, permuted=True),
    "olmo2": Architecture("Olmo2ForCausalLM", _POST_NORMS),
}


def find_architecture(path: Path, name: str) -> Architecture:
    """The table's line for ``general.architecture``.

    Raises:
        UnsupportedModel: it has none.
    """
    if name not in ARCHITECTURES:
        raise UnsupportedModel(
            f"'{path}' holds a network of the architecture {quoted(name)}",
            f"GGUF files can be of {', '.join(ARCHITECTURES)}",
        )
    return ARCHITECTURES[name]


def translate(path: Path, architecture: Architecture, name: str) -> str:
    """``blk.0.attn_q.weight`` to ``model.layers.0.self_attn.q_proj.weight``.

    Raises:
        UnsupportedModel: no tensor that this architecture has.
    """
    expert = _EXPERT.fullmatch(name)
    if expert and expert[2] in _ONE_EXPERT and "ffn_gate_exps" in architecture.block:
        place = f"model.layers.{expert[1]}.mlp.experts.{expert[3]}"
        return f"{place}.{_ONE_EXPERT[expert[2]]}.weight"
    match = _NAME.fullmatch(name)
    layer, module, kind = match.groups() if match else (None, "", "")
    table = architecture.root if layer is None else architecture.block
    if module not in table:
        raise UnsupportedModel(
            f"'{path}' has a tensor {quoted(name)} that {architecture.model_class} does not know",
            "take the checkpoint folder (safetensors) of this model",
        )
    prefix = "" if layer is None else f"model.layers.{layer}."
    return f"{prefix}{table[module]}" + ("" if table[module] in _WHOLE else f".{kind}")
