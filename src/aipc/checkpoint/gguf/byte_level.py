"""Byte-level BPE (GGUF's tokenizer model "gpt2") as a tokenizers.Tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.pretokenizers import PRE_TOKENIZERS, PreTokenizer
from aipc.checkpoint.gguf.vocabulary import Vocabulary
from aipc.errors import UnsupportedModel, damaged, quoted

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def build_byte_level(metadata: Metadata, vocabulary: Vocabulary) -> Tokenizer:
    """Build it from the file's tokens and merges.

    Raises:
        CheckpointError: merges of tokens that the vocabulary lacks.
        UnsupportedModel: a pre-tokenizer that is not in the table.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers

    cut = find_pre_tokenizer(metadata)
    merges = _read_merges(metadata, vocabulary)
    tokenizer = Tokenizer(
        models.BPE(dict(vocabulary.ids), merges, ignore_merges=cut.ignores_merges)
    )
    if cut.composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _pre_tokenizer(cut)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def find_pre_tokenizer(metadata: Metadata) -> PreTokenizer:
    """The table's line for ``tokenizer.ggml.pre``.

    A file that names none, or "default", was written before these names and does not say how
    its text is cut.

    Raises:
        UnsupportedModel: the table has no such line.
    """
    name = metadata.text("tokenizer.ggml.pre", "default")
    if name not in PRE_TOKENIZERS:
        raise UnsupportedModel(
            f"'{metadata.path}' has the unknown pre-tokenizer {quoted(name)}",
            f"known: {', '.join(PRE_TOKENIZERS)}; or take the checkpoint folder (safetensors)",
        )
    return PRE_TOKENIZERS[name]


def _read_merges(metadata: Metadata, vocabulary: Vocabulary) -> list[tuple[str, str]]:
    merges = []
    for merge in metadata.texts("tokenizer.ggml.merges"):
        left, _, right = merge.partition(" ")
        if any(part not in vocabulary.ids for part in (left, right, left + right)):
            raise damaged(metadata.path, f"its vocabulary lacks the parts of merge {quoted(merge)}")
        merges.append((left, right))
    return merges


def _pre_tokenizer(cut: PreTokenizer) -> Any:
    from tokenizers import Regex, pre_tokenizers

    if cut.pattern:
        first = pre_tokenizers.Split(Regex(cut.pattern), "isolated")
        rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        return pre_tokenizers.Sequence([first, rest])
    return pre_tokenizers.ByteLevel(add_prefix_space=False)
