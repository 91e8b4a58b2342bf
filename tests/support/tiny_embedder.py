"""A tiny model that makes embeddings, as optimum-intel exports them: one attention, real files."""

from __future__ import annotations

import json

import numpy as np

WIDTH = 16
LONGEST = 32
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]


def write_embedder(folder, pooling=None, *, modules=("Transformer", "Pooling", "Normalize")):
    """The folder; with ``pooling`` ("cls_token" …) also sentence-transformers' own files."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_graph(folder)
    _write_tokenizer(folder)
    config = {"model_type": "bert", "hidden_size": WIDTH, "max_position_embeddings": LONGEST}
    _write(folder / "config.json", config | {"architectures": ["BertModel"]})
    if pooling is not None:
        modes = {"cls_token": False, "mean_tokens": False} | {pooling: True}
        stated = {f"pooling_mode_{name}": on for name, on in modes.items()}
        _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH} | stated)
        kinds = [
            {
                "type": f"sentence_transformers.models.{name}",
                "path": f"{at}_{name}" if at > 1 else "",
            }
            for at, name in enumerate(modules)
        ]
        _write(folder / "modules.json", kinds)
    return folder


def _write(file, value):
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value))


def _write_graph(folder):
    import openvino
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)

    def weights(*shape):
        return ops.constant(rng.standard_normal(shape).astype(np.float32))

    ids, mask = (ops.parameter([-1, -1], np.int64) for _ in range(2))
    ids.output(0).tensor.set_names({"input_ids"})
    mask.output(0).tensor.set_names({"attention_mask"})
    zero = ops.constant(0, dtype=np.int32)
    states = ops.gather(weights(len(WORDS), WIDTH), ops.convert(ids, "i32"), zero)
    seen = ops.subtract(ops.convert(mask, "f32"), ops.constant(np.float32(1)))
    hidden = ops.unsqueeze(ops.multiply(seen, ops.constant(np.float32(1e4))), ops.constant(1))
    keys = ops.matmul(states, weights(WIDTH, WIDTH), False, True)
    scores = ops.add(ops.matmul(keys, states, False, True), hidden)
    last = ops.add(ops.matmul(ops.softmax(scores, 2), states, False, False), states)
    last.output(0).tensor.set_names({"last_hidden_state"})
    model = openvino.Model([ops.result(last.output(0))], [ids, mask], "tiny")
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)


def _write_tokenizer(folder):
    import openvino
    from openvino_tokenizers import convert_tokenizer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, ends)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LONGEST, **names)
    whole.save_pretrained(folder)
    openvino.save_model(convert_tokenizer(whole), folder / "openvino_tokenizer.xml")
