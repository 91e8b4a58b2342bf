"""Checkpoints that read texts, hostile ones: modules, poolings, prompts and networks."""

from __future__ import annotations

import json
import random
from pathlib import Path

from hostile_files import ESCAPES, VALUES, Models, changed_json, changed_safetensors
from tiny_encoder import EMBEDDERS, write_judge, write_reader

JSON_FILES = (
    *("config.json", "modules.json", "1_Pooling/config.json", "tokenizer.json"),
    *("tokenizer_config.json", "sentence_bert_config.json", "1_LogitScore/config.json"),
    "config_sentence_transformers.json",
)
KEYS = (
    *("model_type", "architectures", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("max_position_embeddings", "type_vocab_size", "vocab_size", "layer_norm_eps", "id2label"),
    *("pooling_mode", "embedding_dimension", "word_embedding_dimension", "prompts", "type"),
    *("default_prompt_name", "path", "max_seq_length", "model_max_length", "num_labels"),
)
PATHS = ("../1_Pooling", "/etc", "1_Pooling/../..", "x" * 300, ESCAPES, "", "nul", 7, None)


def encoder(rng: random.Random, models: Models, folder: Path) -> Path:
    """The checkpoint of an embedder or of a reranker."""
    if rng.random() < 0.2:
        write_judge(folder)
    else:
        name = rng.choice(list(EMBEDDERS))
        pooling, modules = EMBEDDERS[name]
        write_reader(folder, name, modules=modules, pooling=pooling)
    there = [name for name in JSON_FILES if (folder / name).is_file()]
    kind = rng.randrange(5)
    if kind < 2:
        file = folder / rng.choice(there)
        keys = KEYS if isinstance(json.loads(file.read_text()), dict) else ()
        changed_json(rng, file, keys, VALUES)
    elif kind == 2:
        file = folder / "modules.json"
        modules = json.loads(file.read_text())
        one = rng.choice(modules)
        one[rng.choice(("path", "type", "name", "idx"))] = rng.choice(PATHS)
        file.write_text(json.dumps(modules * rng.choice((1, 1, 2, 5000))))
    elif kind == 3:
        changed_safetensors(rng, folder / "model.safetensors")
    else:
        file = folder / rng.choice(there)
        data = file.read_bytes()
        file.write_bytes(rng.choice((b"", b"[" * 10**6, b"null", data[: len(data) // 2], data * 2)))
    return folder
