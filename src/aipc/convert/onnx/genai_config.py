"""The text files that ONNX Runtime GenAI reads: genai_config.json, and tokenizer.json as it can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.config import read_generation_config, read_stop_ids
from aipc.artifact.files import CONFIG, GENAI_CONFIG, TOKENIZER
from aipc.artifact.kv_cache import CONVOLUTION, DELTA
from aipc.artifact.providers import GraphForm
from aipc.checkpoint.gguf.byte_level import PRE_TOKENIZERS
from aipc.convert.network import Attention, GatedDelta, Network, ShortConvolution
from aipc.convert.onnx.attention import PAST, PRESENT
from aipc.convert.onnx.convolution import PAST_TOKENS, PRESENT_TOKENS
from aipc.convert.onnx.delta import PAST_MEMORY, PRESENT_MEMORY
from aipc.records import read_object

MAX_LENGTH = 4096
"""Tokens that GenAI allocates the cache for at once (0.4 MB each on a Phi-3-mini in float16) where
the caller gives no other number; the context may be 32 times as long."""
SAMPLING = {
    "do_sample": False,
    "repetition_penalty": 1.0,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
}
"""Defaults; the model's own generation_config.json overrides them."""
BEAMS = {
    "diversity_penalty": 0.0,
    "early_stopping": True,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "num_return_sequences": 1,
}
GENAI_TYPES = frozenset(
    {"gemma", "gemma2", "gemma3_text", "gptoss", "granite", "lfm2", "llama", "mistral", "phi3"}
    | {"phimoe", "qwen2", "qwen3", "qwen3_5_text", "smollm3"}
)
"""The names of networks that GenAI 0.18 knows; "decoder" stands for any other."""
_LAYER_TYPES = {Attention: "full_attention", ShortConvolution: CONVOLUTION, GatedDelta: DELTA}

SINGLE_DIGITS = PRE_TOKENIZERS["smollm"].pattern
SINGLE_DIGITS_STEPS = (
    r"\p{N}",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
)
"""The same tokens in two patterns that GenAI accepts."""


def write_genai_config(folder: Path, model: str, network: Network, form: GraphForm) -> None:
    """Write it into ``folder``, which holds config.json and generation_config.json already."""
    content = {
        "model": _model(folder, model, network, form),
        "search": _search(read_generation_config(folder), network),
    }
    text = json.dumps(content, indent=2) + "\n"
    (folder / GENAI_CONFIG).write_text(text, encoding="utf-8", newline="\n")


def cap_length(path: Path) -> None:
    """Lower the ``max_length`` of a config that the model builder wrote to `MAX_LENGTH`."""
    content = json.loads(path.read_text("utf-8"))
    search = content["search"]
    search["max_length"] = min(search["max_length"], MAX_LENGTH)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")


def adapt_tokenizer(folder: Path) -> None:
    r"""Rewrite ``folder``'s tokenizer.json where GenAI would refuse it; the tokens stay the same.

    GenAI finds patterns in a list of its own and gives the others to ``std::regex``, which has no
    ``\p{N}`` (onnxruntime-extensions, ``bpe_tokenizer_model.hpp``; measured with GenAI 0.18:
    `SINGLE_DIGITS` is refused, the two steps give the same tokens).
    """
    path = folder / TOKENIZER
    tokenizer = json.loads(path.read_text("utf-8"))
    pre_tokenizer = tokenizer.get("pre_tokenizer") or {}
    steps = pre_tokenizer.get("pretokenizers", [])
    adapted: list[dict[str, Any]] = []
    for step in steps:
        is_single = (step.get("pattern") or {}).get("Regex") == SINGLE_DIGITS
        patterns = SINGLE_DIGITS_STEPS if is_single else ()
        adapted += [{**step, "pattern": {"Regex": pattern}} for pattern in patterns] or [step]
    if adapted != steps:
        pre_tokenizer["pretokenizers"] = adapted
        path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8", newline="\n")


def _model(folder: Path, model: str, network: Network, form: GraphForm) -> dict[str, Any]:
    config = {**read_object(folder / CONFIG), **read_generation_config(folder)}
    # GenAI refuses ids outside the vocabulary, which some configs inherit
    stops = sorted(stop for stop in read_stop_ids(folder) if stop < network.embedding.rows)
    kind = network.model_type.replace("gpt_oss", "gptoss")
    named = {name: config.get(name) for name in ("bos_token_id", "pad_token_id")}
    if named["pad_token_id"] is None and stops:
        named["pad_token_id"] = stops[0]  # GenAI needs one, to fill batches with
    return {
        **{name: token for name, token in named.items() if token is not None},
        "context_length": network.context,
        "decoder": _decoder(model, network, form),
        "eos_token_id": stops,
        "type": kind if kind in GENAI_TYPES else "decoder",
        "vocab_size": network.embedding.rows,
    }


def _decoder(model: str, network: Network, form: GraphForm) -> dict[str, Any]:
    inputs = ["input_ids", "attention_mask"]
    if not form.turns_inside:
        inputs.append("position_ids")
    named = {form.config_name: dict(form.options)}
    attention = network.attentions[0]
    other_inputs, other_outputs, others = _other_states(network)
    return {
        "session_options": {
            "log_id": "onnxruntime-genai",
            "provider_options": [named] if form.config_name else [],
        },
        "filename": model,
        "head_size": attention.head_dim,
        "hidden_size": network.hidden,
        "inputs": {name: name for name in inputs} | {
            "past_key_names": PAST.format("%d", "key"),
            "past_value_names": PAST.format("%d", "value"),
        } | other_inputs,
        "outputs": {
            "logits": "logits",
            "present_key_names": PRESENT.format("%d", "key"),
            "present_value_names": PRESENT.format("%d", "value"),
        } | other_outputs,
        "num_attention_heads": attention.heads,
        "num_hidden_layers": len(network.blocks),
        "num_key_value_heads": attention.kv_heads,
        **others,
    }  # fmt: skip


def _other_states(network: Network) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    """Inputs, outputs and further fields for what blocks without attention keep.

    As onnxruntime-genai's own builder states them (0.18).
    """
    mixers = [block.mixer for block in network.blocks]
    others = [mixer for mixer in mixers if not isinstance(mixer, Attention)]
    if not others:
        return {}, {}, {}
    past = {"past_conv_names": PAST_TOKENS.format("%d")}
    present = {"present_conv_names": PRESENT_TOKENS.format("%d")}
    if any(isinstance(mixer, GatedDelta) for mixer in others):
        past["past_recurrent_names"] = PAST_MEMORY.format("%d")
        present["present_recurrent_names"] = PRESENT_MEMORY.format("%d")
    return (
        past,
        present,
        {
            "layer_types": [_LAYER_TYPES[type(mixer)] for mixer in mixers],
            "conv_cache_size": others[0].taps.shape[-1] - 1,
        },
    )


def _search(generation: Mapping[str, Any], network: Network) -> dict[str, Any]:
    stated = {name: generation.get(name, default) for name, default in SAMPLING.items()}
    lengths = {"max_length": min(network.context, MAX_LENGTH), "min_length": 0}
    return {**BEAMS, **stated, **lengths, "past_present_share_buffer": True}
