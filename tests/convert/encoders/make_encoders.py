"""Write what transformers answers for tiny encoders: python make_encoders.py.

Needs torch and transformers (written with 2.13.0 and 5.5.4); run it from this folder with
``tests/support`` on PYTHONPATH.  Reading the results needs neither.
"""

from __future__ import annotations

import json
from pathlib import Path

import encoders
import numpy as np
import torch
import transformers
from transformers import AutoConfig

FOLDER = Path(__file__).parent
COMMON = {
    "vocab_size": encoders.VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}
MODERN = {
    "model_type": "modernbert",
    "num_hidden_layers": 4,
    "local_attention": 8,
    "global_attn_every_n_layers": 3,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
}
ROBERTA = {"type_vocab_size": 1, "bos_token_id": 2, "eos_token_id": 3}
DISTIL = {
    "model_type": "distilbert",
    "dim": 32,
    "hidden_dim": 48,
    "n_layers": 2,
    "n_heads": 4,
    **{name: COMMON[name] for name in ("vocab_size", "max_position_embeddings", "pad_token_id")},
}
QWEN = {
    "model_type": "qwen3",
    "num_key_value_heads": 2,
    "head_dim": 8,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
}
GEMMA = {
    "model_type": "gemma3_text",
    "num_hidden_layers": 3,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "rms_norm_eps": 1e-6,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "use_bidirectional_attention": True,
    "tie_word_embeddings": True,
}
SCORE = {"id2label": {"0": "LABEL_0"}}
CONFIGS = {
    "bert": ("BertModel", {"model_type": "bert"}),
    "bert-tanh-gelu": ("BertModel", {"model_type": "bert", "hidden_act": "gelu_new"}),
    "bert-score": ("BertForSequenceClassification", {"model_type": "bert", **SCORE}),
    "roberta": ("RobertaModel", {"model_type": "roberta", **ROBERTA}),
    "roberta-masked": ("RobertaForMaskedLM", {"model_type": "roberta", **ROBERTA}),
    "xlm-roberta-score": (
        "XLMRobertaForSequenceClassification",
        {"model_type": "xlm-roberta", **ROBERTA, **SCORE},
    ),
    "camembert": ("CamembertModel", {"model_type": "camembert", **ROBERTA}),
    "distilbert": ("DistilBertModel", DISTIL),
    "distilbert-score": ("DistilBertForSequenceClassification", {**DISTIL, **SCORE}),
    "electra-score": (
        "ElectraForSequenceClassification",
        {"model_type": "electra", "embedding_size": 32, **SCORE},
    ),
    "modernbert": ("ModernBertModel", MODERN),
    "modernbert-score": (
        "ModernBertForSequenceClassification",
        {**MODERN, **SCORE, "classifier_bias": True, "norm_bias": True, "attention_bias": True},
    ),
    "modernbert-mean": (
        "ModernBertForSequenceClassification",
        {**MODERN, **SCORE, "classifier_pooling": "mean"},
    ),
    "qwen3": ("Qwen3Model", QWEN),
    "qwen3-tokens": ("Qwen3ForCausalLM", QWEN),
    "gemma3": ("Gemma3TextModel", GEMMA),
    "qwen3-score": ("Qwen3ForSequenceClassification", {**QWEN, **SCORE}),
}


def main():
    states = {}
    for name, (kind, own) in CONFIGS.items():
        config = {**COMMON, **own} if own is not DISTIL and "dim" not in own else own
        states[name] = write(name, kind, {**config, "architectures": [kind]})
    np.savez_compressed(FOLDER / "states.npz", **states)


def write(name, kind, config):
    network = getattr(transformers, kind)(AutoConfig.for_model(**config)).eval().float()
    network.set_attn_implementation("eager")
    stored = network.state_dict()
    tied = {"lm_head.decoder.weight", "lm_head.decoder.bias", "lm_head.weight"}
    shapes = {
        one: list(values.shape)
        for one, values in stored.items()
        if values.is_floating_point() and one not in tied
    }
    drawn = {one: torch.tensor(encoders.draw(one, shape)) for one, shape in shapes.items()}
    network.load_state_dict(drawn, strict=False)
    ids, mask, types = (torch.tensor(each) for each in encoders.batch())
    inputs = {"input_ids": ids, "attention_mask": mask, "output_hidden_states": True}
    if config["model_type"] in {"bert", "electra"}:
        inputs["token_type_ids"] = types
    with torch.no_grad():
        said = network(**inputs)
    if "Causal" in kind:
        last = said.logits[torch.arange(2), mask.sum(dim=1) - 1]
        found = last[:, encoders.TRUE : encoders.TRUE + 1] - last[:, encoders.FALSE, None]
    elif "Classification" in kind:
        found = said.logits
    else:
        last = said.hidden_states[-1] if "Masked" in kind else said.last_hidden_state
        found = last[mask.bool()]
    stated = {"config": config, "shapes": shapes}
    (FOLDER / f"{name}.json").write_text(json.dumps(stated, indent=1) + "\n", "utf-8")
    return found.numpy().astype(np.float32)


if __name__ == "__main__":
    main()
