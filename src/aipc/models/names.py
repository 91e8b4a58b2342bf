r"""What a name means: short name, path, what the store has or hub id, in this order.

    phi-3-mini                   a short name of the catalogue (a folder of that name: ./phi-3-mini)
    phi3:mini  llama3.2          what other programs call one of them, if no path is called so
    ./dir  ../dir  ~/dir  /dir  C:\dir  \\host\dir
                                 always a path, which has to exist
    dir/model  model.gguf        a path if it exists
    phi-3-mini-openvino-int4-…   what `aipc models` lists, or the name of its folder in the store
    org/name  org/name@revision  otherwise a repository of the hub
    NAME + ADAPTER               a model with an adapter: a folder or a repository, with :SCALE
                                 after it where it is not to change the model as it was trained to

A folder is an artifact if aipc or a vendor made it one, else a checkpoint.  The short names are
those of catalogue.toml; they, their aliases and its hub ids may be written in any case.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aipc.artifact import manifest
from aipc.artifact.files import ADAPTER, CONFIG, runtime_of
from aipc.errors import ArtifactError, ModelNotFound, UnsafeModel, UsageError
from aipc.models.catalogue import ADAPTED, CATALOGUE, meant_key, shown_key, suggestion
from aipc.models.lookalikes import lookalike
from aipc.models.source import (
    PICKLES,
    AdaptedSource,
    AdapterSource,
    ArtifactSource,
    CheckpointSource,
    FolderSource,
    GgufSource,
    HubAdapterSource,
    HubSource,
    Source,
    WheelSource,
)
from aipc.models.store import Store, is_key

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB_ID = re.compile(
    rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9][\w./-]{{0,199}}))?", re.ASCII
)
_ODD = ("..", "--", "//", "/.", "./")
"""Sequences that the hub forbids, or that could leave a folder."""
_EXPLICIT = ("./", "../", "~", "/", ".\\", "..\\", "\\")
_MOST_STRENGTH = 100
_DRIVE = re.compile(r"[A-Za-z]:")


def resolve(name: str, store: Store | None = None) -> Source:
    """Where the model of that name comes from; nothing is fetched.

    ``store`` is the one whose artifacts have names too; without it, the user's.

    Raises:
        ModelNotFound: no such short name or path, or no name of any known form.
        ArtifactError: the folder is an artifact of ours that is damaged or cut short.
        UnsafeModel: the path is a pickle.
        UsageError: an adapter's scale that is none.
    """
    name = name.strip()
    base, adapters = split(name)
    return _adapted(_resolve(base, store), adapters) if adapters else _resolve(base, store)


def _adapted(base: CheckpointSource | ArtifactSource, adapters: str) -> AdaptedSource:
    if isinstance(base, ArtifactSource):
        raise UsageError(
            f"'{base.path}' is converted already, so no adapter can be merged into it",
            "name the checkpoint that it was made from",
        )
    return AdaptedSource(base, tuple(resolve_adapters(adapters)))


def with_adapters(name: str, adapters: Sequence[str]) -> str:
    """The name of a model with adapters, each DIR or org/name, with :SCALE or without."""
    return ADAPTED.join([name, *adapters])


def split(name: str) -> tuple[str, str]:
    """The name of a model, and those of its adapters, as they stand; "" where it has none."""
    base, _, adapters = name.partition(ADAPTED)
    return (name, "") if _exists(name.strip()) else (base.strip(), adapters.strip())


def check(name: str) -> None:
    """Refuse a name that no model can be loaded by; an artifact's may have adapters here.

    Raises:
        AipcError: as `resolve` and `resolve_adapter`.
    """
    base, adapters = split(name)
    resolve(base)
    if adapters:
        resolve_adapters(adapters)


def resolve_adapters(names: str) -> list[AdapterSource]:
    """Those of several names with the sign between them; errors are of `resolve_adapter`."""
    return [resolve_adapter(name) for name in names.split(ADAPTED)]


def resolve_adapter(name: str) -> AdapterSource:
    """The adapter of a name, PATH[:SCALE] or org/name[@revision][:SCALE]; nothing is fetched.

    Raises:
        ModelNotFound: no such folder or GGUF file, or no name of any known form.
        UsageError: a scale that is none.
    """
    name, strength = name.strip(), 1.0
    if not _exists(name):
        name, strength = _scaled(name)
    path = _path(name)
    if path is not None:
        if path.is_dir():
            return AdapterSource(FolderSource(path), strength)
        if path.suffix.lower() == ".gguf":
            return AdapterSource(GgufSource(path), strength)
        fix = f"give the folder that holds {ADAPTER}, or a GGUF file"
        raise ModelNotFound(f"'{path}' is no adapter's folder", fix)
    found = _hub_id(name)
    if found is None:
        fix = "give its folder, or the hub id, org/name"
        raise ModelNotFound(f"no adapter is called '{name}'", fix)
    return AdapterSource(HubAdapterSource(*found), strength)


def _scaled(name: str) -> tuple[str, float]:
    """The adapter's own name, and the number after its last colon."""
    own, colon, stated = name.rpartition(":")
    try:
        strength = float(stated) if colon else 1.0
    except ValueError:
        return name, 1.0
    if not colon:
        return name, 1.0
    if not -_MOST_STRENGTH <= strength <= _MOST_STRENGTH:
        raise UsageError(
            f"an adapter's scale can't be {stated}",
            f"it is -{_MOST_STRENGTH} to {_MOST_STRENGTH}; 1 is as it was trained",
        )
    return own, strength


def _exists(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, RuntimeError):  # too long, no such user
        return False


def _resolve(name: str, store: Store | None) -> CheckpointSource | ArtifactSource:
    path = None if name in CATALOGUE else _path(name)
    if path is not None:
        return _local(path)
    return _stored(name, store or Store()) or resolve_remote(name)


def resolve_remote(name: str) -> HubSource | WheelSource:
    """As `resolve`, but nothing on this computer is meant or looked for.

    Raises:
        ModelNotFound: no such short name, and no hub id.
    """
    known = CATALOGUE.named(name)
    if known is not None:
        return known.source
    if "://" in name:
        raise ModelNotFound(f"'{name}' is an address, not a name", "give the hub id, org/name")
    found = _hub_id(name)
    if found is not None:
        return HubSource(*found)
    raise ModelNotFound(f"no model is called '{name}'", suggestion(name))


def _hub_id(name: str) -> tuple[str, str] | None:
    """Repository and revision."""
    match = _HUB_ID.fullmatch(name)
    is_odd = any(odd in name for odd in _ODD) or name[-1:] in {"/", "."}
    if match is None or is_odd:
        return None
    return CATALOGUE.spelled(match["repo"]), match["revision"] or "main"


def stored_keys(name: str, store: Store) -> list[str]:
    """The keys in the store of what a name means there, whole or not.

    A model's name means its checkpoint and all that was made of it; the name of one of them, as
    `aipc models` lists it, or of its folder, means that one alone.

    Raises:
        ModelNotFound: the store has nothing of that name.
    """
    keys = store.names(unfinished=True)
    if name in keys:
        return [name]
    with suppress(ModelNotFound):
        family = resolve_remote(name).name
        made = (f"{family}-", f"{family}+")  # of it alone, of it with adapters
        if found := [key for key in keys if key == family or key.startswith(made)]:
            return found
    if (key := meant_key(name)) in keys:
        return [key]
    shown = [shown_key(key) for key in keys]
    near = difflib.get_close_matches(name.lower(), shown, n=2, cutoff=0.5)
    fix = f"did you mean {' or '.join(map(repr, near))}?" if near else "`aipc models` shows it"
    raise ModelNotFound(f"the store has no '{name}'", fix if keys else "it is empty")


def is_stored(name: str) -> bool:
    """Whether the user's store has a model, or an artifact, of that name."""
    try:
        return bool(stored_keys(name, Store()))
    except ModelNotFound:
        return False


def _stored(name: str, store: Store) -> ArtifactSource | None:
    """The artifact of the store that a name of `aipc models` means, in the name's own words."""
    if CATALOGUE.named(name) is not None or not is_key(name):
        return None
    path = store.artifact_path(meant_key(name))
    return ArtifactSource(path, shown_key(path.name)) if manifest.find(path) is not None else None


def _path(name: str) -> Path | None:
    """The path that a name means, if it means one."""
    if not name.isprintable() or not name:
        return None
    is_explicit = name in {".", ".."} or name.startswith(_EXPLICIT) or bool(_DRIVE.match(name))
    try:
        path = Path(name).expanduser()
        if path.exists():
            return path.absolute()
    except (OSError, RuntimeError) as error:  # too long, not allowed, no such user
        raise ModelNotFound(f"can't look for '{name[:80]}' ({error})", "check the path") from error
    if is_explicit or name.lower().endswith(".gguf"):
        raise ModelNotFound(f"there is no '{name}' on this computer", "check the path")
    return None


def _local(path: Path) -> CheckpointSource | ArtifactSource:
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".gguf":
        return GgufSource(path)
    if path.suffix.lower() in PICKLES:
        what = f"'{path}' is a pickle, which runs code when opened"
        raise UnsafeModel(what, "use the model's safetensors or GGUF files")
    fix = "give a .gguf file, or the folder that holds config.json and .safetensors files"
    raise ModelNotFound(f"'{path}' is no model file", fix)


def _folder(path: Path) -> FolderSource | ArtifactSource:
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


def _own_folder(path: Path) -> FolderSource | ArtifactSource:
    if manifest.read(path).kind == "checkpoint":
        return FolderSource(path)
    if manifest.find(path) is None:
        raise ArtifactError(f"'{path}' lacks some of its files", "convert the model again")
    return ArtifactSource(path)
