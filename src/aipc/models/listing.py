"""What a repository of the hub holds, and which of its files make a checkpoint."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from aipc.artifact.files import CONFIG, GENAI_CONFIG, OPENVINO_MODEL
from aipc.errors import ModelError, ModelNotFound, UnsafeModel

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_TEXT = re.compile(
    r"config\.json|generation_config\.json"
    r"|tokenizer[a-z_]*\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json"
    r"|vocab\.json|merges\.txt"
    r"|chat_template[\w.-]*\.(jinja|json)"
    r"|LICEN[SC]E[\w.-]*",
    re.ASCII,
)
_GGUF = re.compile(r"\w[\w.+-]*\.gguf", re.ASCII)
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository: its size in bytes and what the hub states of its contents.

    ``sha256`` is there for large files, ``git_blob`` (the id git has for it) for small ones.
    """

    name: str
    nbytes: int
    sha256: str | None
    git_blob: str | None

    @property
    def stated(self) -> str:
        """The hash to check the contents against; "" where the hub states none."""
        return self.sha256 or self.git_blob or ""


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit that are fetched."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def nbytes(self) -> int:
        return sum(file.nbytes for file in self.files)


def choose(repo: str, files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The files of a checkpoint: safetensors or one GGUF, config, tokenizer, licence.

    Only plain names at the top of the repository are taken; never pickles, never code.

    Raises:
        UnsafeModel: the weights are there only as pickles, or a name leaves the repository.
        ModelNotFound: there are no weights, or several GGUF files to choose from.
    """
    for file in files:
        _check_name(repo, file.name)
    names = {file.name for file in files}
    weights = _weights(repo, names)
    if weights[0].endswith(".safetensors") and CONFIG not in names:
        raise ModelNotFound(f"'{repo}' has no config.json", "it holds no whole model; try another")
    wanted = {*weights, *(name for name in names if _TEXT.fullmatch(name))}
    return tuple(sorted((file for file in files if file.name in wanted), key=lambda f: f.name))


def _weights(repo: str, names: set[str]) -> list[str]:
    """The files that hold the weights, and their index."""
    top = sorted(name for name in names if "/" not in name)
    if _SINGLE in names:
        return [_SINGLE]
    shards = [name for name in top if _SHARD.fullmatch(name)]
    if shards and _INDEX in names:
        return [*shards, _INDEX]
    ggufs = [name for name in top if _GGUF.fullmatch(name)]
    if len(ggufs) == 1:
        return ggufs
    if ggufs:
        fix = f"download the one you want and give its path: {', '.join(ggufs[:4])} …"
        raise ModelNotFound(f"'{repo}' holds {len(ggufs)} GGUF files, not one", fix)
    raise _no_weights(repo, names)


def _no_weights(repo: str, names: set[str]) -> ModelError:
    suffixes = Counter(PurePosixPath(name).suffix.lower() for name in sorted(names))
    found = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(6) if suffix)
    if OPENVINO_MODEL in names or GENAI_CONFIG in names:
        fix = "download it with `hf download` and give the folder that holds its files"
        return ModelNotFound(f"'{repo}' holds a converted model, no safetensors", fix)
    if PICKLES & set(suffixes):
        fix = "use a repository with .safetensors files; https://huggingface.co/docs/safetensors"
        what = f"'{repo}' has its weights only as pickles, which run code when opened"
        return UnsafeModel(f"{what} (found: {found})", fix)
    fix = "give a repository with model.safetensors or .gguf files"
    return ModelNotFound(f"'{repo}' holds no weights (found: {found or 'no files'})", fix)


def _check_name(repo: str, name: str) -> None:
    parts = re.split(r"[/\\]", name)
    if not parts[0] or ".." in parts:
        what = f"the hub lists a file outside the repository '{repo}': {name!r}"
        raise UnsafeModel(what, "nothing was downloaded; check HF_ENDPOINT")
