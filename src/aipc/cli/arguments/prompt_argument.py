"""The prompt on the command line, and what people write in its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aipc.cli.arguments.near_misses import quoted_prompt
from aipc.errors import UsageError
from aipc.models.catalogue import CATALOGUE
from aipc.models.names import is_stored


def read_argument(words: Sequence[str], model: str | None) -> str | None:
    """The prompt, None where there is none; ``model`` is what -m names.

    Raises:
        UsageError: a prompt without quotes; or a model's name alone, which no -m goes with.
    """
    if not words:
        return None
    named = _meant_model(words[0]) if model is None else None
    if named is not None:
        prompt = quoted_prompt(" ".join(words[1:])) if len(words) > 1 else '"..."'
        what = f"'{words[0]}' is a model's name and no prompt"
        raise UsageError(what, f"did you mean `aipc run -m {named} {prompt}`?")
    if len(words) > 1:
        chosen = "" if model is None else f"-m {model} "
        prompt = quoted_prompt(" ".join(words))
        what = f"the prompt is in {len(words)} parts"
        raise UsageError(what, f"put the prompt in quotes: `aipc run {chosen}{prompt}`")
    return words[0]


def _meant_model(word: str) -> str | None:
    """How to name the model that ``word`` alone means, if it means one."""
    if not word or word != word.strip() or len(word.split()) > 1 or word == "-":
        return None
    if (name := CATALOGUE.meant(word)) is not None:
        return name
    is_file = word.lower().endswith(".gguf") or (Path(word) / "config.json").is_file()
    return word if is_file or is_stored(word) else None
