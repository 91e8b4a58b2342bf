"""Tokenizers of every kind, converted without transformers, against the conversion with it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from aipc.convert.openvino.tokenizer import write_tokenizer
from aipc.errors import ConversionError

BOTH = """
import sys
from pathlib import Path
from aipc.convert.openvino.tokenizer import write_tokenizer
folder = Path(sys.argv[1])
write_tokenizer(folder)
assert "transformers" not in sys.modules

import openvino as ov
from openvino_tokenizers import convert_tokenizer
from transformers import PreTrainedTokenizerFast
special = eval(sys.argv[2])
tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **special)
for model, name in zip(convert_tokenizer(tokenizer, with_detokenizer=True), ("to", "from")):
    ov.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)
"""
TEXTS = ("The quick brown fox jumps over 13 lazy dogs.", "Größe, naïve: 東京", "x = y**2\n  z") * 3
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def byte_level():
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(BYTES)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "<|end|>"])
    tokenizer.add_tokens(["<tool_call>"])
    return tokenizer


def llama():
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    tokenizer.add_special_tokens([AddedToken("<|user|>", rstrip=True)])
    return tokenizer


def padded():
    tokenizer = llama()
    tokenizer.enable_truncation(100, direction="left")
    tokenizer.enable_padding(direction="left", pad_id=2, pad_token="</s>")
    return tokenizer


def word_pieces():
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    words = {word: i for i, word in enumerate([*special, "the", "dog", "##s", "lazy", "a"])}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.add_special_tokens(special)
    return tokenizer


def unigram():
    pieces = ["<unk>", "<s>", "</s>", "▁the", "▁dog", "s", "▁", "a"]
    scored = [(piece, -float(i)) for i, piece in enumerate(pieces)]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
KINDS = (
    (byte_level, {"bos_token": "<s>", "eos_token": "<|end|>"}),
    (byte_level, {"bos_token": "<s>", "eos_token": "<eos>", "pad_token": "<pad>"}),
    (llama, LLAMA | {"pad_token": "<pad>", "clean_up_tokenization_spaces": True}),
    (padded, LLAMA),
    (word_pieces, {"unk_token": "[UNK]", "pad_token": "[PAD]"}),
    (word_pieces, {"unk_token": "[UNK]", "clean_up_tokenization_spaces": True}),
    (unigram, LLAMA),
)


@pytest.mark.parametrize(("kind", "config"), KINDS)
def test_without_transformers_the_same_bytes_are_written(kind, config, tmp_path):
    kind().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    special = repr({"clean_up_tokenization_spaces": False} | config)
    subprocess.run([sys.executable, "-c", BOTH, tmp_path, special], check=True)
    for ours, theirs in (("tokenizer", "to"), ("detokenizer", "from")):
        weights = (tmp_path / f"openvino_{ours}.bin").read_bytes()
        assert weights == (tmp_path / f"{theirs}.bin").read_bytes()
        assert graph(tmp_path / f"openvino_{ours}.xml") == graph(tmp_path / f"{theirs}.xml")


def graph(path):
    """The XML without the Python class converted from and the process's count of all nodes."""
    text = re.sub("<original_tokenizer_class .*", "", path.read_text())
    return re.sub(r'="(\w+?)_\d+', r'="\1', text)


def test_a_tokenizer_that_cannot_be_converted_is_one_line(tmp_path):
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["pre_tokenizer"] = {"type": "UnicodeScripts"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ConversionError, match="can't convert this model's tokenizer"):
        write_tokenizer(tmp_path)
