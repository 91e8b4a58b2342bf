"""A GGUF file of a checkpoint's shape with random Q4_0 weights, for llama.cpp's time and memory.

    python benchmarks/phi3_size_gguf.py CHECKPOINT OUT.gguf

CHECKPOINT is what phi3_size_checkpoint.py wrote, of which the config alone is read.  The vocabulary
is made up: benchmarks give token ids.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np

BLOCK, BLOCK_BYTES = 32, 18  # Q4_0: a float16 scale, then 32 codes of 4 bits
SCALE = np.float16(0.002)
TYPE = gguf.GGMLQuantizationType.Q4_0


def write_facts(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    heads = config["num_attention_heads"]
    writer.add_name("random")  # llama.cpp wants Phi-3's own tokens of a model that is named so
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_rope_scaling_orig_ctx_len(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_sliding_window(config["sliding_window"])


def write_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    kinds = gguf.TokenType
    named = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256]
    rest = range(len(named), size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*named, *(f"▁{token}" for token in rest)])
    writer.add_token_types([*types, *(kinds.NORMAL for _ in rest)])
    writer.add_token_scores([-float(token) for token in range(size)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def write_tensors(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    keys = config["num_key_value_heads"] * hidden // config["num_attention_heads"]
    rng, ones = np.random.default_rng(1), np.ones(hidden, np.float32)

    def matrix(name: str, rows: int, width: int) -> None:
        blocks = rng.integers(0, 256, (rows, width // BLOCK, BLOCK_BYTES), np.uint8)
        blocks[:, :, :2] = np.frombuffer(SCALE.tobytes(), np.uint8)
        writer.add_tensor(f"{name}.weight", blocks.reshape(rows, -1), raw_dtype=TYPE)

    matrix("token_embd", config["vocab_size"], hidden)
    for block in (f"blk.{number}" for number in range(config["num_hidden_layers"])):
        writer.add_tensor(f"{block}.attn_norm.weight", ones)
        matrix(f"{block}.attn_qkv", hidden + 2 * keys, hidden)
        matrix(f"{block}.attn_output", hidden, hidden)
        writer.add_tensor(f"{block}.ffn_norm.weight", ones)
        matrix(f"{block}.ffn_up", 2 * inner, hidden)
        matrix(f"{block}.ffn_down", hidden, inner)
    writer.add_tensor("output_norm.weight", ones)
    matrix("output", config["vocab_size"], hidden)


def main() -> None:
    config = json.loads((Path(sys.argv[1]) / "config.json").read_text("utf-8"))
    writer = gguf.GGUFWriter(sys.argv[2], "phi3")
    write_facts(writer, config)
    write_vocabulary(writer, config["vocab_size"])
    write_tensors(writer, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
