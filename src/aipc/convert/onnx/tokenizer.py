r"""tokenizer.json in the words that ONNX Runtime GenAI's own tokenizer understands.

It looks patterns up in a list of its own and hands the rest to ``std::regex``, which knows no
``\p{N}`` (onnxruntime-extensions, ``bpe_tokenizer_model.hpp``; measured with GenAI 0.18: the
pattern below is refused, the two steps that it stands for give the same tokens).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aipc.artifact.files import TOKENIZER
from aipc.checkpoint.gguf.byte_level import PRE_TOKENIZERS

SINGLE_DIGITS = PRE_TOKENIZERS["smollm"].pattern
STEPS = (
    r"\p{N}",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
)


def adapt_tokenizer(folder: Path) -> None:
    """Rewrite ``folder``'s tokenizer.json where GenAI would refuse it; the tokens stay the same."""
    path = folder / TOKENIZER
    tokenizer = json.loads(path.read_text("utf-8"))
    cut = tokenizer.get("pre_tokenizer") or {}
    steps = cut.get("pretokenizers", [])
    if not any(_pattern(step) == SINGLE_DIGITS for step in steps):
        return
    cut["pretokenizers"] = [new for step in steps for new in _steps(step)]
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def _pattern(step: dict[str, Any]) -> str:
    return str((step.get("pattern") or {}).get("Regex", ""))


def _steps(step: dict[str, Any]) -> list[dict[str, Any]]:
    if _pattern(step) != SINGLE_DIGITS:
        return [step]
    return [{**step, "pattern": {"Regex": pattern}} for pattern in STEPS]
