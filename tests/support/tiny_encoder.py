"""Tiny checkpoints that make embeddings or scores, tokenizer and settings included."""

from __future__ import annotations

import json

import encoders
import numpy as np
from tiny_embedder import LETTERS, SPECIAL

LONGEST = 38
_JUDGE = (
    "{% for m in messages %}{% if m.role == 'system' %}a {{ m.content }} b"
    "{% elif m.role == 'query' %} q {{ m.content }}"
    "{% elif m.role == 'document' %} d {{ m.content }}{% endif %}{% endfor %} x y"
)
"""A chat template with places for a query and a document."""
EMBEDDERS = {
    "bert": ("mean", ["Pooling", "Normalize"]),
    "roberta": ("cls", ["Pooling"]),
    "distilbert": ("mean", ["Pooling"]),
    "modernbert": ("cls", ["Pooling", "Normalize"]),
    "qwen3": ("lasttoken", ["Pooling", "Normalize"]),
    "gemma3": ("mean", ["Pooling", "Normalize"]),
}
"""Of `encoders.NAMES` those that make vectors, with their poolings and modules."""
DENSE = {
    "tanh": {"out_features": 24},
    "wider": {"out_features": 80, "bias": False, "activation_function": "linear.Identity"},
    "relu": {"out_features": 32, "activation_function": "activation.ReLU"},
    "gelu": {"out_features": 20, "activation_function": "activation.GELU", "use_residual": True},
    "silu": {"activation_function": "activation.SiLU", "use_residual": True},
    "sigmoid": {"out_features": 12, "activation_function": "activation.Sigmoid"},
}
"""Settings of Dense modules; those that are not given are sentence-transformers' own defaults."""
CHAINS = {
    "max": ("max", []),
    "weighted": ("weightedmean", ["Normalize"]),
    "root": ("mean_sqrt_len_tokens", ["tanh"]),
    "joined": (["lasttoken", "cls", "max"], ["Normalize", "relu", "Dropout"]),
    "two": ("mean", ["wider", "sigmoid", "Normalize"]),
    "residual": ("cls", ["silu", "Normalize", "gelu"]),
    "unprompted": (
        ["mean", "weightedmean", "mean_sqrt_len_tokens", "max", "cls", "lasttoken"],
        [],
    ),
}
"""Poolings of bert's hidden states, and what follows: Normalize, Dropout, or one of `DENSE`."""


def write_reader(folder, name, *, modules=None, pooling="mean", **settings):
    """One of `encoders.NAMES` as a folder whose tokenizer reads letters.

    ``modules`` are sentence-transformers' ("Pooling", "Normalize" …), None: there are none;
    ``settings`` are more members of config.json.
    """
    expected = encoders.Expected(name)
    expected.write(folder)
    config = json.loads((folder / "config.json").read_text())
    _write(folder / "config.json", config | settings)
    if modules is not None:
        kinds = ["Transformer", *modules]
        paths = ["" if kind == "Transformer" else f"{at}_{kind}" for at, kind in enumerate(kinds)]
        stated = [
            {
                "idx": at,
                "name": str(at),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for at, (path, kind) in enumerate(zip(paths, kinds, strict=True))
        ]
        _write(folder / "modules.json", stated)
        width = config.get("hidden_size") or config["dim"]
        stated = {"pooling_mode": pooling, "embedding_dimension": width}
        _write(folder / "1_Pooling" / "config.json", stated)
    _write_tokenizer(folder, has_types=name.startswith("bert"))
    return folder


def write_chain(folder, name):
    """Bert with the modules of `CHAINS`; in "unprompted" the prompt's own tokens don't count."""
    mode, after = CHAINS[name]
    write_reader(folder, "bert", modules=["Pooling", *(_kind(one) for one in after)], pooling=mode)
    if name == "unprompted":
        stated = {"pooling_mode": mode, "embedding_dimension": 32, "include_prompt": False}
        _write(folder / "1_Pooling" / "config.json", stated)
        prompts = {"prompts": {"query": "a b c "}, "default_prompt_name": "query"}
        _write(folder / "config_sentence_transformers.json", prompts)
    width = 32 * (len(mode) if isinstance(mode, list) else 1)
    for at, one in enumerate(after, start=2):
        _write(
            folder / f"{at}_{_kind(one)}" / "config.json",
            {"dropout": 0.2} if one == "Dropout" else {},
        )
        if one in DENSE:
            width = write_dense(folder / f"{at}_Dense", width, **DENSE[one])
    return folder


def write_dense(folder, width, **settings):
    """A Dense module for vectors of that width; returns that of its own."""
    from safetensors.numpy import save_file

    stated = {"in_features": width, "out_features": width, "bias": True} | settings
    if "activation_function" in stated:
        stated["activation_function"] = f"torch.nn.modules.{stated['activation_function']}"
    _write(folder / "config.json", stated)
    rows = stated["out_features"]
    shapes = {"linear.weight": [rows, width]}
    if stated["bias"]:
        shapes["linear.bias"] = [rows]
    if stated.get("use_residual") and rows != width:
        shapes["residual.weight"] = [rows, width]
    tensors = {name: encoders.draw(f"{name}{width}", shape) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    return rows


def _kind(name):
    return "Dense" if name in DENSE else name


def write_judge(folder):
    """A decoder whose score is the difference of two tokens, as sentence-transformers saves it."""
    write_reader(folder, "qwen3-tokens")
    name = "sentence_transformers.{}".format
    kinds = {
        "": name("base.modules.transformer.Transformer"),
        "1_LogitScore": name("cross_encoder.modules.logit_score.LogitScore"),
    }
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": kind}
        for at, (path, kind) in enumerate(kinds.items())
    ]
    _write(folder / "modules.json", modules)
    tokens = {"true_token_id": encoders.TRUE, "false_token_id": encoders.FALSE}
    _write(folder / "1_LogitScore" / "config.json", tokens)
    prompts = {"prompts": {"judge": "s t"}, "default_prompt_name": "judge"}
    _write(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder", **prompts})
    way = {"method": "forward", "method_output_name": "logits"}
    ways = {"text": way, "message": {**way, "format": "flat"}}
    settings = {"transformer_task": "text-generation", "module_output_name": "causal_logits"}
    _write(folder / "sentence_bert_config.json", {**settings, "modality_config": ways})
    (folder / "chat_template.jinja").write_text(_JUDGE)
    return folder


def pairs():
    """A query and 50 documents, some longer than a model takes beside it; always the same."""
    rng = np.random.default_rng(9)
    letters = list(LETTERS)
    documents = [" ".join(rng.choice(letters, size=1 + at)) for at in range(50)]
    return "q r s t", [documents[at] for at in rng.permutation(50)]


def _write_tokenizer(folder, *, has_types):
    """BERT's: words of a letter each, and those that go on with one."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    words = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in SPECIAL])
    ends = [(word, vocabulary[word]) for word in ("[CLS]", "[SEP]")]
    pair = "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1"
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", pair, ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    types = ["token_type_ids"] if has_types else []
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", *types, "attention_mask"],
        "model_max_length": LONGEST,
    }
    _write(folder / "tokenizer_config.json", config | names)


def _write(file, value):
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value))
