"""A checkpoint folder: which of its files hold the weights."""

from __future__ import annotations

import re
from pathlib import Path

from aipc.artifact.files import gguf_models
from aipc.checkpoint.safetensors import INDEX, SafetensorsFile, Shards
from aipc.checkpoint.tensors import StoredTensors
from aipc.errors import CheckpointError, UnsafeModel

SINGLE = "model.safetensors"
_PART = re.compile(r".+-\d{5}-of-(\d{5})\.safetensors", re.ASCII)
_OTHER = ("adapter", "consolidated", "optimizer", "training_args")
"""What the names of safetensors files begin with that are not a model's own."""
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def find_gguf(folder: Path) -> Path | None:
    """The GGUF file of a folder without safetensors, or one part of it; None where there is none.

    Raises:
        CheckpointError: several GGUF models, so that one has to be named.
    """
    if (folder / SINGLE).is_file() or (folder / INDEX).is_file():
        return None
    found = [path.name for path in _matching(folder, "*.gguf")]
    models = gguf_models(found)
    if len(models) > 1:
        names = ", ".join(parts[0] for parts in models)
        raise CheckpointError(f"'{folder}' holds {len(models)} GGUF files", f"name one of {names}")
    return next((folder / name for name in found if models and name in models[0]), None)


def open_weights(folder: Path) -> StoredTensors:
    """Open ``model.safetensors``, else the shards that the index names, else the one file there is.

    Raises:
        CheckpointError: no weights, or damaged ones.
        UnsafeModel: the only weights are pickles.
        UnsupportedModel: a tensor of an unknown type.
    """
    if (folder / SINGLE).is_file():
        return SafetensorsFile(folder / SINGLE)
    if (folder / INDEX).is_file():
        return Shards(folder / INDEX)
    others = [path for path in _matching(folder, "*.safetensors") if not _is_other(path.name)]
    if len(others) == 1 and not _is_one_of_many(others[0].name):
        return SafetensorsFile(others[0])
    if others:
        found = f"{len(others)} safetensors files, such as {others[0].name}"
        raise CheckpointError(
            f"'{folder}' has {found}, and no {INDEX}",
            f"fetch that too, or leave one whole model there as {SINGLE}",
        )
    pickles = [path for pattern in _PICKLES for path in _matching(folder, pattern)]
    if pickles:
        raise UnsafeModel(
            f"the weights in '{folder}' are a pickle ({pickles[0].name}), which can run code",
            "take a revision with safetensors files",
        )
    raise CheckpointError(
        f"'{folder}' has neither {SINGLE}, {INDEX} nor a .gguf file",
        "name a checkpoint folder, or fetch a model with 'aipc pull'",
    )


def _is_other(name: str) -> bool:
    return name.startswith(_OTHER)


def _is_one_of_many(name: str) -> bool:
    part = _PART.fullmatch(name)
    return part is not None and int(part[1]) > 1


def _matching(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())
