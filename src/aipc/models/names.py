"""What a name means: short name, path or hub id, in this order.

    phi-3-mini                   a short name of the catalogue (a folder of that name: ./phi-3-mini)
    ./dir  ../dir  ~/dir  /dir   always a path, which has to exist
    dir/model  model.gguf        a path if it exists
    org/name  org/name@revision  otherwise a repository of the hub

A folder is an artifact if aipc or a vendor made it one, else a checkpoint.  The short names are
those of catalogue.toml.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aipc.artifact import manifest
from aipc.artifact.files import CONFIG, runtime_of
from aipc.errors import ArtifactError, ModelNotFound, UnsafeModel
from aipc.models.lookalikes import lookalike
from aipc.models.source import (
    ArtifactSource,
    FolderSource,
    GgufSource,
    HubSource,
    Source,
    WheelSource,
    describe,
)
from aipc.tables import read_table

_TABLE = read_table(__package__, "catalogue.toml")
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB_ID = re.compile(
    rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9][\w./-]{{0,199}}))?", re.ASCII
)
_ODD = ("..", "--", "//", "/.", "./")
"""Sequences that the hub forbids, or that could leave a folder."""
_IDENTITY = ("kind", "repo", "distribution", "member")
"""Facts of a source that tell one model from another; the others tell its versions."""
_EXPLICIT = ("./", "../", "~", "/", ".\\", "..\\")


@dataclass(frozen=True)
class Model:
    """One short name: ``nbytes`` is its download, ``context`` its longest text in tokens.

    ``parameters`` are those of its network; ``gated`` models can be fetched only by hub users who
    accepted their licence; ``sampling`` is what their makers state elsewhere than in their files,
    as `aipc.runtimes.sampling.Sampling` names it.
    """

    name: str
    what: str
    source: HubSource | WheelSource
    licence: str
    parameters: int
    nbytes: int
    context: int
    gated: bool = False
    sampling: Mapping[str, float] = field(default_factory=dict)


class ModelCatalogue(Mapping[str, Model]):
    """Short names in the file's order, each with its model; ``default`` is one of them."""

    def __init__(self, models: tuple[Model, ...], default: str) -> None:
        self._models = {model.name: model for model in models}
        self.default = self._models[default]

    def __getitem__(self, name: str) -> Model:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def find(self, source: Source) -> Model | None:
        """The model of exactly that source, revision included."""
        return next((model for model in self._models.values() if model.source == source), None)

    def of_source(self, facts: Mapping[str, Any]) -> Model | None:
        """The model that a manifest's source is, at whatever revision; None: it is not here.

        ``facts`` are those of `aipc.models.source.describe`.
        """
        for model in self._models.values():
            known = describe(model.source)
            if all(facts.get(key) == known[key] for key in _IDENTITY if key in known):
                return model
        return None

    def near(self, name: str) -> list[str]:
        """Up to three short names that look like ``name``, a short name or a hub id."""
        looks = {short: short for short in self._models}
        looks |= {
            model.source.repo.lower(): short
            for short, model in self._models.items()
            if isinstance(model.source, HubSource)
        }
        close = difflib.get_close_matches(name.lower(), looks, n=3, cutoff=0.5)
        return list(dict.fromkeys(looks[look] for look in close))


def suggestion(name: str) -> str:
    """What to try instead of an unknown name, for the end of an error."""
    near = CATALOGUE.near(name)
    if near:
        return f"did you mean {' or '.join(repr(short) for short in near)}?"
    return f"short names: {', '.join(CATALOGUE)}"


def _model(entry: dict[str, Any]) -> Model:
    rest = {key: value for key, value in entry.items() if key not in {"hub", "wheel"}}
    if "hub" in entry:
        return Model(source=HubSource(**entry["hub"]), **rest)
    return Model(source=WheelSource(**entry["wheel"]), **rest)


CATALOGUE = ModelCatalogue(tuple(map(_model, _TABLE["model"])), _TABLE["default"])


def resolve(name: str) -> Source:
    """Where the model of that name comes from; nothing is fetched.

    Raises:
        ModelNotFound: no such short name or path, or no name of any known form.
        ArtifactError: the folder is an artifact of ours that is damaged or cut short.
        UnsafeModel: the path is a pickle.
    """
    name = name.strip()
    path = None if name in CATALOGUE else _path(name)
    return resolve_remote(name) if path is None else _local(path)


def resolve_remote(name: str) -> HubSource | WheelSource:
    """As `resolve`, but nothing on this computer is meant or looked for.

    Raises:
        ModelNotFound: no such short name, and no hub id.
    """
    if name in CATALOGUE:
        return CATALOGUE[name].source
    if "://" in name:
        raise ModelNotFound(f"'{name}' is an address, not a name", "give the hub id, org/name")
    match = _HUB_ID.fullmatch(name)
    is_odd = any(odd in name for odd in _ODD) or name[-1:] in {"/", "."}
    if match and not is_odd:
        return HubSource(match["repo"], match["revision"] or "main")
    raise ModelNotFound(f"no model is called '{name}'", suggestion(name))


def _path(name: str) -> Path | None:
    """The path that a name means, if it means one."""
    if not name.isprintable() or not name:
        return None
    is_explicit = name in {".", ".."} or name.startswith(_EXPLICIT) or Path(name).is_absolute()
    try:
        path = Path(name).expanduser()
        if path.exists():
            return path.absolute()
    except (OSError, RuntimeError) as error:  # too long, not allowed, no such user
        raise ModelNotFound(f"can't look for '{name[:80]}' ({error})", "check the path") from error
    if is_explicit or name.lower().endswith(".gguf"):
        raise ModelNotFound(f"there is no '{name}' on this computer", "check the path")
    return None


def _local(path: Path) -> Source:
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".gguf":
        return GgufSource(path)
    if path.suffix.lower() in PICKLES:
        what = f"'{path}' is a pickle, which runs code when opened"
        raise UnsafeModel(what, "use the model's safetensors or GGUF files")
    fix = "give a .gguf file, or the folder that holds config.json and .safetensors files"
    raise ModelNotFound(f"'{path}' is no model file", fix)


def _folder(path: Path) -> Source:
    if (path / manifest.FILE).exists():
        return _own_folder(path)
    if runtime_of(path) is not None:
        return ArtifactSource(path)
    what, fix = lookalike(str(path), _names(path), path)
    if what:
        raise ModelNotFound(what, fix)
    if (path / CONFIG).exists() or any(path.glob("*.gguf")):
        return FolderSource(path)
    inner = next((file.parent for file in sorted(path.glob(f"*/{CONFIG}"))), None)
    fix = "give the folder that holds config.json and .safetensors files, or a .gguf file"
    raise ModelNotFound(f"'{path}' holds no model", f"name '{inner}'" if inner else fix)


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        what = f"can't look into '{folder}' ({error.strerror})"
        raise ModelNotFound(what, "check who may read it") from error


def _own_folder(path: Path) -> Source:
    if manifest.read(path).kind == "checkpoint":
        return FolderSource(path)
    if manifest.find(path) is None:
        raise ArtifactError(f"'{path}' lacks some of its files", "convert the model again")
    return ArtifactSource(path)
