"""genai_config.json: what ONNX Runtime GenAI has to know of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.config import read_generation_config, read_stop_ids
from aipc.artifact.files import CONFIG, GENAI_CONFIG
from aipc.artifact.providers import GraphForm
from aipc.convert.network import Network
from aipc.convert.onnx.graph import PAST, PRESENT
from aipc.records import read_object

MAX_LENGTH = 4096
"""GenAI allocates the cache for so many tokens at once (0.4 MB each on a Phi-3-mini in float16),
where the caller asks for no other number; the context may be 32 times as long."""
SAMPLING = {
    "do_sample": False,
    "repetition_penalty": 1.0,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
}
"""What the model's own generation_config.json may say otherwise."""
BEAMS = {
    "diversity_penalty": 0.0,
    "early_stopping": True,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "num_return_sequences": 1,
}


def write_genai_config(folder: Path, model: str, network: Network, form: GraphForm) -> None:
    """Write it into ``folder``, which holds config.json and generation_config.json already."""
    content = {
        "model": _model(folder, model, network, form),
        "search": _search(read_generation_config(folder), network),
    }
    text = json.dumps(content, indent=2) + "\n"
    (folder / GENAI_CONFIG).write_text(text, encoding="utf-8")


def cap_length(path: Path) -> None:
    """Bring down the ``max_length`` of a config that the model builder wrote."""
    content = json.loads(path.read_text("utf-8"))
    search = content["search"]
    search["max_length"] = min(search["max_length"], MAX_LENGTH)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _model(folder: Path, model: str, network: Network, form: GraphForm) -> dict[str, Any]:
    config = {**read_object(folder / CONFIG), **read_generation_config(folder)}
    # GenAI refuses ids outside the vocabulary, which some configs keep from their ancestors
    stops = sorted(stop for stop in read_stop_ids(folder) if stop < network.embedding.rows)
    named = {name: config.get(name) for name in ("bos_token_id", "pad_token_id")}
    if named["pad_token_id"] is None and stops:
        named["pad_token_id"] = stops[0]  # GenAI fills batches with it, and wants one
    return {
        **{name: token for name, token in named.items() if token is not None},
        "context_length": network.context,
        "decoder": _decoder(model, network, form),
        "eos_token_id": stops,
        "type": network.model_type,
        "vocab_size": network.embedding.rows,
    }


def _decoder(model: str, network: Network, form: GraphForm) -> dict[str, Any]:
    inputs = ["input_ids", "attention_mask"]
    if not form.turns_inside:
        inputs.append("position_ids")
    named = {form.config_name: dict(form.options)}
    return {
        "session_options": {
            "log_id": "onnxruntime-genai",
            "provider_options": [named] if form.config_name else [],
        },
        "filename": model,
        "head_size": network.head_dim,
        "hidden_size": network.hidden,
        "inputs": {name: name for name in inputs} | {
            "past_key_names": PAST.format("%d", "key"),
            "past_value_names": PAST.format("%d", "value"),
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": PRESENT.format("%d", "key"),
            "present_value_names": PRESENT.format("%d", "value"),
        },
        "num_attention_heads": network.heads,
        "num_hidden_layers": len(network.blocks),
        "num_key_value_heads": network.kv_heads,
    }  # fmt: skip


def _search(generation: Mapping[str, Any], network: Network) -> dict[str, Any]:
    stated = {name: generation.get(name, default) for name, default in SAMPLING.items()}
    lengths = {"max_length": min(network.context, MAX_LENGTH), "min_length": 0}
    return {**BEAMS, **stated, **lengths, "past_present_share_buffer": True}
