"""Write multimodal.json: what transformers' multimodal networks answer to text alone.

    python tests/checkpoint/make_multimodal.py

Needs torch and transformers (made with torch 2.13 and transformers 5.24).  Weights are drawn from
the tensors' names, as `multimodal_tensors` of tests/checkpoint/test_multimodal.py draws them.
"""

import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForImageTextToText

TEXT = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
QWEN = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
QWEN_TOKENS = {
    "image_token_id": 90,
    "video_token_id": 91,
    "vision_start_token_id": 92,
    "vision_end_token_id": 93,
}
SECTIONS = {"mrope_section": [2, 3, 3]}
CASES = {
    "llava": {
        "text_config": {"model_type": "llama", **TEXT},
        "vision_config": {"model_type": "clip_vision_model", **VISION},
        "image_token_index": 90,
    },
    "mistral3": {
        "text_config": {"model_type": "mistral", **TEXT, "sliding_window": None},
        "vision_config": {"model_type": "pixtral", **VISION, "head_dim": 16},
        "image_token_index": 90,
        "tie_word_embeddings": False,
    },
    "qwen2_5_vl": {
        "text_config": {**TEXT, "rope_scaling": {"type": "mrope", **SECTIONS}},
        "vision_config": {**QWEN, "out_hidden_size": 64},
        **QWEN_TOKENS,
    },
    "qwen3_vl": {
        "text_config": {**TEXT, "rope_scaling": {"rope_type": "default", **SECTIONS}},
        "vision_config": {**QWEN, "out_hidden_size": 64, "deepstack_visual_indexes": [0]},
        **QWEN_TOKENS,
        "tie_word_embeddings": True,
    },
    "ministral3": {
        "model_type": "mistral3",
        "text_config": {"model_type": "ministral3", **TEXT},
        "vision_config": {"model_type": "pixtral", **VISION, "head_dim": 16},
        "image_token_index": 90,
        "tie_word_embeddings": True,
    },
    "gemma3": {
        "text_config": {
            **TEXT,
            "sliding_window": 8,
            "query_pre_attn_scalar": 16,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        },
        "vision_config": {"model_type": "siglip_vision_model", **VISION},
        "mm_tokens_per_image": 4,
        "image_token_index": 90,
        "boi_token_index": 91,
        "eoi_token_index": 92,
    },
    "gemma4": {
        "text_config": {
            **TEXT,
            "num_hidden_layers": 4,
            "num_kv_shared_layers": 2,
            "global_head_dim": 32,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": TEXT["vocab_size"],
        },
        "vision_config": {"model_type": "gemma4_vision", **VISION, "head_dim": 16},
        "image_token_id": 90,
        "video_token_id": 91,
        "audio_token_id": 92,
        "boi_token_id": 93,
        "eoi_token_id": 94,
        "boa_token_id": 95,
        "eoa_token_index": 89,
    },
    "qwen3_5": {
        "text_config": {
            **TEXT,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
        },
        "vision_config": {**QWEN, "out_hidden_size": 64},
        **QWEN_TOKENS,
        "tie_word_embeddings": True,
    },
    "qwen3_5_moe": {
        "text_config": {
            **{key: TEXT[key] for key in TEXT if key != "intermediate_size"},
            "layer_types": ["linear_attention", "full_attention"],
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 48,
        },
        "vision_config": {**QWEN, "out_hidden_size": 64},
        **QWEN_TOKENS,
    },
    "lfm2_vl": {
        "text_config": {
            **TEXT,
            "model_type": "lfm2",
            "layer_types": ["conv", "full_attention"],
            "block_auto_adjust_ff_dim": False,
        },
        "vision_config": {"model_type": "siglip2_vision_model", **VISION, "num_patches": 4},
        "image_token_id": 90,
        "projector_hidden_size": 32,
    },
}
IDS = [int(token) for token in np.random.default_rng(1).integers(3, 80, 24)]


def drawn(name, shape):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    centre = 1 if "norm" in name else 0
    return (centre + rng.standard_normal(shape) * 0.2).astype(np.float16)


def answer(stated):
    config = AutoConfig.for_model(**stated)
    with tempfile.TemporaryDirectory() as folder:
        AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
        weights = Path(folder, "model.safetensors")
        with safe_open(weights, "np") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - it is no dict
        tensors = {name: drawn(name, shape) for name, shape in shapes.items()}
        save_file(tensors, weights, {"format": "pt"})
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        saved = json.loads(Path(folder, "config.json").read_text())
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([IDS])).logits[0, -2:]
    rounded = [[round(float(value), 5) for value in row] for row in logits]
    return {"config": saved, "shapes": shapes, "logits": rounded}


if __name__ == "__main__":
    cases = {name: answer({"model_type": name, **stated}) for name, stated in CASES.items()}
    target = Path(__file__).with_name("multimodal.json")
    target.write_text(json.dumps({"ids": IDS, "cases": cases}, indent=None) + "\n")
