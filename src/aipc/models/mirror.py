"""Models out of a mirror: another store, or a part of it, in a folder elsewhere.

    MIRROR/artifacts/KEY/…  MIRROR/checkpoints/NAME/…    a store, copied as it is
    MIRROR/KEY/…                                         a folder of it
    MIRROR/…                                             one model

Each model has its `aipc.json`, which states every file's size and SHA-256; a model is asked for by
its name in the store, so nothing needs to be listed.  What vouches for the manifest itself is its
own SHA-256, where the caller knows it, or else the way to the mirror.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from aipc import disk
from aipc.artifact import manifest
from aipc.artifact.manifest import FileFacts, Manifest
from aipc.errors import ArtifactError, DownloadFailed, ModelNotFound, UnsafeModel
from aipc.models import staging, transfer
from aipc.models.remote_folder import Interrupted, Part, RemoteFolder, open_folder
from aipc.models.source import Source, describe
from aipc.models.store import Store
from aipc.models.transfer import RemoteFile
from aipc.progress import Meter, Progress, silent

_WAYS = ("artifacts/{}/", "{}/", "checkpoints/{}/")
_OPENVINO_WEIGHTS = ".bin"
"""Of OpenVINO, beside an .xml of the same name; of torch, a pickle."""
_FORMATS = (
    *(".safetensors", ".gguf", ".onnx", ".onnx.data", ".onnx_data", ".xml"),
    *(".json", ".jinja", ".model", ".tiktoken", ".txt", ".md"),
)
"""Of weights, graphs, tokenizers and texts: what checkpoints and artifacts are made of."""
_TEXT = re.compile(r"(LICEN[SC]E|NOTICE|README)([-_]\w[\w-]*(\.\d+)*)?(\.(rst|pdf))?", re.ASCII)
_LONGEST_NAME = 200
"""Bytes; 255 with what the name of its part has more."""
_MEND = "make that folder of the mirror again"


def fetch(
    address: str,
    names: Sequence[str],
    store: Store,
    *,
    source: Source | None = None,
    sha256: str = "",
    progress: Progress = silent,
) -> Path:
    """The first of these models that the mirror has, copied into the store; its folder there.

    One process of several copies it, the others wait.  What arrived is kept when it is cut off.
    A model that the store has already is compared with the mirror's by its manifest alone.

    Args:
        address: http://, https://, a path, or a URL that fsspec opens.
        names: of artifacts or checkpoints in a store, the one wanted most first.
        store: where to.
        source: what it must be or be made of; where the address is one model's, that may then be
            made by any recipe.
        sha256: of the mirror's aipc.json, in hexadecimal; empty: whatever it is.
        progress: told how many bytes have come.

    Raises:
        ModelNotFound: it has none of them.
        DownloadFailed: it does not answer, breaks off, or sends other bytes than it states.
        UnsafeModel: another manifest than ``sha256`` says, or one that lists what is neither
            weights nor text.
        ArtifactError: a manifest that is damaged; or the store has another model of that name.
        AccessDenied, UsageError: the address can't be read, or is none.
    """
    for name in names:
        store.artifact_path(name)  # refuses what could leave the folder
    found = _find(open_folder(address), names, source)
    found.check(sha256)
    final = store.path(found.manifest.kind, found.manifest.name)
    with staging.staged(
        final, resume=True, owned=True, error=DownloadFailed, progress=progress
    ) as folder:
        if folder is None:
            _check_same(final, found)
        else:
            found.copy(folder, progress)
    if folder is not None:
        store.verified(final).note()
    return final


@dataclass(frozen=True)
class _Offer:
    """A model that the mirror has, at ``way`` under its address."""

    folder: RemoteFolder
    way: str
    data: bytes
    manifest: Manifest

    @property
    def label(self) -> str:
        return f"{self.folder.address.rstrip('/')}/{self.way}".rstrip("/")

    def check(self, sha256: str) -> None:
        """Refuse what the caller does not want, and what nobody should."""
        found = hashlib.sha256(self.data).hexdigest()
        if sha256 and found != sha256.lower():
            what = (
                f"the {manifest.FILE} of '{self.label}' has the SHA-256 {found}, not the one given"
            )
            raise UnsafeModel(what, "nothing was copied; ask who made the mirror")
        for name in self.manifest.files:
            objection = _objection(name, self.manifest.files)
            if objection:
                fix = "nothing was copied; a mirror holds weights and texts alone"
                raise UnsafeModel(f"'{self.label}' lists {name!r:.80}, which {objection}", fix)
        if self.manifest.kind == "blob":
            raise UnsafeModel(f"'{self.label}' is compiled for another machine", "name a model")

    def copy(self, into: Path, progress: Progress) -> None:
        """Fill a folder, going on from what an earlier attempt left there."""
        files = self.manifest.files
        for path in [path for path in into.rglob("*") if path.is_file()]:
            if path.relative_to(into).as_posix() not in {*files, *map(_partial, files.items())}:
                path.unlink()
        have = sum(transfer.size(path) for path in into.rglob("*"))
        disk.require(into, self.manifest.nbytes - have, self.manifest.name, DownloadFailed)
        meter = Meter(progress, f"copying {self.manifest.name}", self.manifest.nbytes)
        for name, facts in files.items():
            self._copy_file(RemoteFile(name, facts.size, facts.sha256, None), into, meter)
        (into / manifest.FILE).write_bytes(self.data)

    def _copy_file(self, file: RemoteFile, into: Path, meter: Meter) -> None:
        target = into / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if transfer.facts_of(file, target) is not None:
            meter.add(file.nbytes)
            return
        partial = into / _partial((file.name, self.manifest.files[file.name]))
        meter.add(transfer.size(partial))
        self._download(file, partial, meter)
        if transfer.facts_of(file, partial) is None:
            partial.unlink()
            what = f"'{file.name}' of '{self.label}' is not what its {manifest.FILE} states"
            raise DownloadFailed(f"{what} (another SHA-256); it was not kept", _MEND)
        disk.rename(partial, target)

    def _download(self, file: RemoteFile, partial: Path, meter: Meter) -> None:
        what = f"'{file.name}' of '{self.label}' has not the {file.nbytes} bytes that are stated"
        wrong = DownloadFailed(what, _MEND)

        def append() -> None:
            with self.folder.opened(f"{self.way}{file.name}", transfer.size(partial)) as part:
                _keep(part, file, partial, meter, wrong)

        try:
            transfer.complete(
                partial,
                file.nbytes,
                append=append,
                is_passing=lambda error: isinstance(error, Interrupted),
                wrong_length=wrong,
            )
        except FileNotFoundError as missing:
            what = f"'{self.label}' lacks '{file.name}', which its {manifest.FILE} lists"
            raise DownloadFailed(what, _MEND) from missing
        except Interrupted as error:
            raise _no_answer(self.folder.address, error) from error


def _keep(part: Part, file: RemoteFile, partial: Path, meter: Meter, wrong: DownloadFailed) -> None:
    pieces = part.pieces()
    transfer.keep(pieces, part.start, partial, file.nbytes, advance=meter.add, wrong_length=wrong)


def _find(folder: RemoteFolder, names: Sequence[str], source: Source | None) -> _Offer:
    """What there is at the address itself, or else under the first of the names that is there."""
    offer = _offer(folder, "")
    if offer is not None:
        _check_meant(offer, names, source)
        return offer
    for name in names:
        for way in _WAYS:
            offer = _offer(folder, way.format(name))
            if offer is not None:
                _check_meant(offer, [name], source)
                return offer
    fix = "convert it where the mirror is made, or name another with --for, --runtime and recipe"
    raise ModelNotFound(f"'{folder.address}' has none of: {', '.join(names)}", fix)


def _offer(folder: RemoteFolder, way: str) -> _Offer | None:
    try:
        with folder.opened(f"{way}{manifest.FILE}") as part:
            data = _whole(part)
    except FileNotFoundError:
        return None
    except Interrupted as error:
        raise _no_answer(folder.address, error) from error
    return _Offer(folder, way, data, manifest.parse(data, f"{folder.address.rstrip('/')}/{way}"))


def _whole(part: Part) -> bytes:
    """A manifest, or a little more than one may have."""
    data = b""
    while len(data) <= manifest.LONGEST and (piece := part.read(manifest.LONGEST + 1)):
        data += piece
    return data


def _check_meant(offer: _Offer, names: Sequence[str], source: Source | None) -> None:
    """Refuse another model under the name of the one that is wanted, or in its place."""
    name, made_of = offer.manifest.name, offer.manifest.facts.get("source")
    is_named = name in names
    if source is not None:
        is_named = is_named or (not offer.way and name.startswith(f"{source.name}-"))
        is_its = isinstance(made_of, Mapping) and describe(source).items() <= made_of.items()
        is_named = is_named and is_its
    if not is_named:
        what = f"'{offer.label}' holds another model, {name}"
        raise ModelNotFound(what, "check the address and the model's name")


def _check_same(final: Path, offer: _Offer) -> None:
    if manifest.read(final).files != offer.manifest.files:
        what = f"the store has another '{final.name}' than '{offer.label}'"
        raise ArtifactError(what, f"run `aipc rm {final.name}`, then pull it again")


def _objection(name: str, files: Mapping[str, FileFacts]) -> str:
    """Why no such file is copied; empty: it may be."""
    path = PurePosixPath(name)
    is_openvinos = path.suffix == _OPENVINO_WEIGHTS and str(path.with_suffix(".xml")) in files
    if not (is_openvinos or name.lower().endswith(_FORMATS) or _TEXT.fullmatch(path.name)):
        return "is of no kind that models are made of"
    if any(str(folder) in files for folder in path.parents):
        return "is in a folder that is a file"
    if any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
        return "has a name that no disk takes"
    return ""


def _partial(item: tuple[str, FileFacts]) -> str:
    """Named after its contents: a part of another file must never be continued."""
    name, facts = item
    return f"{name}.{facts.sha256[:16]}.partial"


def _no_answer(address: str, error: Interrupted) -> DownloadFailed:
    fix = "check the address and the network, then run it again: what has arrived is kept"
    return DownloadFailed(f"the mirror '{address}' can't be read ({error})", fix)
