"""Write the models and ids.json beside this file: what sentencepiece itself makes of some strings.

    python tests/checkpoint/sentencepiece/make.py

Needs the package sentencepiece (made with 0.2).
"""

import json
import random
from pathlib import Path

import sentencepiece

HERE = Path(__file__).parent
PLAIN = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
BYTES = {"byte_fallback": True, "split_digits": True, "allow_whitespace_only_pieces": True}
GEMMA = {
    "pad_id": 0,
    "eos_id": 1,
    "bos_id": 2,
    "unk_id": 3,
    "bos_piece": "<bos>",
    "eos_piece": "<eos>",
    "add_dummy_prefix": False,
    "user_defined_symbols": ["<start_of_turn>", "<end_of_turn>", "\n\n"],
}
MODELS = {
    "llama": {"model_type": "bpe", "vocab_size": 420, **PLAIN, **BYTES},
    "gemma": {"model_type": "bpe", "vocab_size": 420, **PLAIN, **BYTES, **GEMMA},
    "unigram": {"model_type": "unigram", "vocab_size": 420, **PLAIN, **BYTES},
    "spaces": {"model_type": "bpe", "vocab_size": 160, "normalization_rule_name": "identity"},
}
ODD = [
    *("", "  ", " a", "a ", "  two  spaces ", "\ttab", "a\n\nb", "日本語 text ①", "ﬁne ½", "▁x"),
    *("x▁y", "😀 emoji", "e\u0301", "  \n ", "1234567", "A" * 50, "\u200bzero"),
    "<start_of_turn>user\nhi<end_of_turn>",
]


def main():
    root = HERE.parents[2]
    text = "\n".join(path.read_text("utf-8") for path in sorted((root / "docs").glob("*.md")))
    lines = [line for line in text.split("\n") if line]
    draw = random.Random(3)
    strings = ODD + [line[:50] for line in draw.sample(lines, 80)]
    ids = {}
    for name, settings in MODELS.items():
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_prefix=str(HERE / name),
            minloglevel=2,
            hard_vocab_limit=False,
            **settings,
        )
        (HERE / f"{name}.vocab").unlink()
        model = sentencepiece.SentencePieceProcessor(model_file=str(HERE / f"{name}.model"))
        ids[name] = [model.encode(string) for string in strings]
    (HERE / "ids.json").write_text(
        json.dumps({"strings": strings, "ids": ids}, separators=(",", ":")) + "\n"
    )


if __name__ == "__main__":
    main()
