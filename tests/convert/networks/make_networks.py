"""Write what transformers answers for tiny networks: python make_networks.py [NAME ...].

Needs torch and transformers (written with 2.13.0 and 5.24.0); run it from this folder with
``tests/support`` on PYTHONPATH.  Reading the results needs neither.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import networks
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

FOLDER = Path(__file__).parent
COMMON = {
    "vocab_size": networks.VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
    "tie_word_embeddings": False,
}
GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 24, "tie_word_embeddings": True}
LOCAL, FULL = "sliding_attention", "full_attention"
LINEAR = "linear_attention"
DELTA = {
    "head_dim": 32,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
ORIGINAL = "original_max_position_embeddings"
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
    "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    "short_mscale": 1.2,
    "long_mscale": 1.3,
    ORIGINAL: 100,
}
PHIMOE = {
    "model_type": "phimoe",
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 131072,
    "attention_bias": True,
    "lm_head_bias": True,
    "rope_parameters": LONGROPE,
}
GRANITE_MOE = {
    "num_local_experts": 6,
    "num_experts_per_tok": 2,
    "intermediate_size": 32,
    "embedding_multiplier": 6.0,
    "attention_multiplier": 0.09,
    "residual_multiplier": 0.6,
    "logits_scaling": 0.3,
}
QWEN2_MOE = {
    "model_type": "qwen2_moe",
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 64,
}
CONFIGS = {
    "gemma2": {
        "model_type": "gemma2",
        **GEMMA,
        "attn_logit_softcapping": 5.0,
        "final_logit_softcapping": 8.0,
        "sliding_window": 8,
    },
    "gemma3": {
        "model_type": "gemma3_text",
        **GEMMA,
        "sliding_window": 8,
        "layer_types": [LOCAL, LOCAL, FULL, LOCAL],
        "num_hidden_layers": 4,
    },
    "gemma3-linear": {
        "model_type": "gemma3_text",
        **GEMMA,
        "sliding_window": 8,
        "layer_types": [LOCAL, FULL, LOCAL],
        "final_logit_softcapping": 6.0,
        "rope_parameters": {
            FULL: {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
            LOCAL: {"rope_type": "default", "rope_theta": 10000.0},
        },
    },
    "gemma4": {
        "model_type": "gemma4_text",
        "head_dim": 32,
        "global_head_dim": 64,
        "tie_word_embeddings": True,
        "sliding_window": 8,
        "layer_types": [LOCAL, FULL, LOCAL, FULL, LOCAL, FULL],
        "num_hidden_layers": 6,
        "num_kv_shared_layers": 3,
        "use_double_wide_mlp": True,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": networks.VOCABULARY,
        "final_logit_softcapping": 6.0,
    },
    "gemma4-dense": {
        "model_type": "gemma4_text",
        "head_dim": 32,
        "global_head_dim": 64,
        "num_global_key_value_heads": 1,
        "attention_k_eq_v": True,
        "tie_word_embeddings": True,
        "sliding_window": 8,
        "layer_types": [LOCAL, LOCAL, FULL],
        "hidden_size_per_layer_input": 0,
    },
    "smollm3": {
        "model_type": "smollm3",
        "num_hidden_layers": 4,
        "no_rope_layers": [1, 0, 1, 0],
        "tie_word_embeddings": True,
    },
    "smollm3-window": {
        "model_type": "smollm3",
        "num_hidden_layers": 4,
        "no_rope_layer_interval": 2,
        "use_sliding_window": True,
        "sliding_window": 8,
    },
    "granite": {
        "model_type": "granite",
        "embedding_multiplier": 6.0,
        "attention_multiplier": 0.09,
        "residual_multiplier": 0.6,
        "logits_scaling": 0.3,
        "tie_word_embeddings": True,
    },
    "granite4": {
        "model_type": "granitemoehybrid",
        "layer_types": ["attention"] * 3,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": 80,
        "position_embedding_type": "rope",
        "embedding_multiplier": 6.0,
        "attention_multiplier": 0.09,
        "residual_multiplier": 0.6,
        "logits_scaling": 0.3,
        "tie_word_embeddings": True,
    },
    "granite4-nope": {
        "model_type": "granitemoehybrid",
        "layer_types": ["attention"] * 3,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": 80,
        "embedding_multiplier": 6.0,
        "attention_multiplier": 0.09,
        "residual_multiplier": 0.6,
        "logits_scaling": 0.3,
    },
    "olmo2": {"model_type": "olmo2"},
    "olmo3": {
        "model_type": "olmo3",
        "sliding_window": 8,
        "layer_types": [LOCAL, FULL, LOCAL],
        "rope_parameters": {FULL: YARN, LOCAL: {"rope_type": "default", "rope_theta": 10000.0}},
    },
    "ministral": {
        "model_type": "ministral",
        "sliding_window": 8,
        "layer_types": [LOCAL, FULL, LOCAL],
        "head_dim": 32,
    },
    "ministral3": {
        "model_type": "ministral3",
        "head_dim": 32,
        "rope_parameters": {
            **YARN,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "llama_4_scaling_beta": 0.4,
        },
    },
    "mistral-yarn": {"model_type": "mistral", "sliding_window": None, "rope_parameters": YARN},
    "llama-biases": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "llama-yarn": {
        "model_type": "llama",
        "rope_parameters": {
            **YARN,
            "beta_fast": 4.0,
            "beta_slow": 0.5,
            "attention_factor": 0.8,
            "truncate": False,
        },
    },
    "llama-dynamic": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
    },
    "llama-linear": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
    },
    "qwen2-window": {
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": 8,
        "max_window_layers": 1,
    },
    "qwen3-window": {
        "model_type": "qwen3",
        "use_sliding_window": True,
        "sliding_window": 8,
        "layer_types": [FULL, LOCAL, LOCAL],
        "head_dim": 32,
        "attention_bias": True,
    },
    "lfm2": {
        "model_type": "lfm2",
        "num_hidden_layers": 5,
        "layer_types": ["conv", "conv", FULL, "conv", FULL],
        "block_auto_adjust_ff_dim": False,
        "tie_word_embeddings": True,
    },
    "lfm2-biases": {
        "model_type": "lfm2",
        "num_hidden_layers": 4,
        "full_attn_idxs": [1],
        "intermediate_size": 150,
        "block_multiple_of": 16,
        "conv_bias": True,
        "conv_L_cache": 4,
    },
    "qwen3_5": {
        "model_type": "qwen3_5_text",
        **DELTA,
        "num_hidden_layers": 4,
        "layer_types": [LINEAR, LINEAR, LINEAR, FULL],
        "tie_word_embeddings": True,
    },
    "qwen3_5-biases": {
        "model_type": "qwen3_5_text",
        **DELTA,
        "num_hidden_layers": 4,
        "linear_num_key_heads": 4,
        "linear_value_head_dim": 24,
        "layer_types": [LINEAR, FULL, LINEAR, FULL],
        "head_dim": 64,
        "attention_bias": True,
    },
    "qwen3_moe": {
        "model_type": "qwen3_moe",
        "head_dim": 32,
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 32,
        "norm_topk_prob": True,
    },
    "qwen3_moe-unnormed": {
        "model_type": "qwen3_moe",
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "num_hidden_layers": 4,
        "decoder_sparse_step": 2,
        "mlp_only_layers": [3],
        "use_sliding_window": True,
        "sliding_window": 8,
        "attention_bias": True,
    },
    "mixtral": {
        "model_type": "mixtral",
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 8,
    },
    "gpt_oss": {
        "model_type": "gpt_oss",
        "head_dim": 32,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 8,
        "rope_parameters": {**YARN, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False},
    },
    "phimoe": PHIMOE,
    "phimoe-long": {**PHIMOE, "rope_parameters": {**LONGROPE, ORIGINAL: 4}},
    "olmoe": {
        "model_type": "olmoe",
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "intermediate_size": 32,
    },
    "qwen2_moe": QWEN2_MOE,
    "qwen2_moe-window": {
        **QWEN2_MOE,
        "num_hidden_layers": 4,
        "norm_topk_prob": True,
        "mlp_only_layers": [1],
        "use_sliding_window": True,
        "sliding_window": 8,
        "max_window_layers": 2,
    },
    "qwen3_5_moe": {
        "model_type": "qwen3_5_moe_text",
        **DELTA,
        "num_hidden_layers": 4,
        "layer_types": [LINEAR, LINEAR, LINEAR, FULL],
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 48,
    },
    "granitemoe": {**GRANITE_MOE, "model_type": "granitemoe"},
    "granitemoeshared": {
        **GRANITE_MOE,
        "model_type": "granitemoeshared",
        "shared_intermediate_size": 80,
    },
    "granite4-experts": {
        **GRANITE_MOE,
        "model_type": "granitemoehybrid",
        "layer_types": ["attention"] * 3,
        "shared_intermediate_size": 80,
    },
    "lfm2_moe": {
        "model_type": "lfm2_moe",
        "num_hidden_layers": 4,
        "layer_types": ["conv", FULL, "conv", FULL],
        "num_dense_layers": 1,
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 32,
        "routed_scaling_factor": 1.5,
        "tie_word_embeddings": True,
    },
    "lfm2_moe-unnormed": {
        "model_type": "lfm2_moe",
        "num_hidden_layers": 3,
        "layer_types": ["conv", FULL, "conv"],
        "num_dense_layers": 0,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "norm_topk_prob": False,
        "use_expert_bias": False,
    },
    "phi4": {
        "model_type": "phi3",
        "sliding_window": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 250000.0},
    },
}
SIZES = {"granite": 0.15, "granite4": 0.15}


def main():
    names = sys.argv[1:] or list(CONFIGS)
    file = FOLDER / "logits.npz"
    logits = dict(np.load(file)) if file.is_file() else {}
    logits = {name: logits[name] for name in logits if name in CONFIGS and name not in names}
    for name in names:
        logits[name] = write(name)
    np.savez_compressed(file, **logits)


def write(name):
    stated = COMMON | CONFIGS[name]
    config = AutoConfig.for_model(**stated)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    is_offset = stated["model_type"].startswith(("gemma", "qwen3_5"))
    drawn = {
        # a tied head finds the last token again unless what blocks add outweighs it
        "embedding": SIZES.get(name, 0.3 if config.tie_word_embeddings else 4.0),
        "norm_offset": float(is_offset and "gemma4" not in name),
        "seed": 0,
    }
    while not (found := answered(model, drawn)):
        drawn["seed"] += 1
    answers, scores, shapes = found
    own = {"dtype", "transformers_version", "_name_or_path", "_attn_implementation"}
    written = {
        "config": {key: value for key, value in config.to_dict().items() if key not in own},
        "drawn": drawn,
        "shapes": shapes,
        "answers": answers,
    }
    text = json.dumps(written, separators=(",", ":")).replace(',"', ',\n"')
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return scores[networks.PLACES]


def answered(model, drawn):
    """Answers, scores and shapes; None where two tokens are too nearly alike to be told apart."""
    shapes = {}
    with torch.no_grad():
        for tensor, values in model.state_dict().items():
            if tensor == "lm_head.weight" and model.config.tie_word_embeddings:
                continue
            shapes[tensor] = list(values.shape)
            values.copy_(torch.from_numpy(networks.draw(tensor, shapes[tensor], drawn)))
        answers = [greedy(model, prompt) for prompt in (networks.SHORT, networks.LONG)]
        scores = model(torch.tensor([networks.LONG])).logits[0].numpy()
    return (answers, scores, shapes) if all(answers) else None


def greedy(model, prompt):
    ids = list(prompt)
    for _ in range(networks.ANSWER):
        scores = model(torch.tensor([ids])).logits[0, -1]
        best = torch.topk(scores, 2)
        if best.values[0] - best.values[1] < 2e-3:
            return None
        ids.append(int(best.indices[0]))
    return ids[len(prompt) :]


if __name__ == "__main__":
    main()
