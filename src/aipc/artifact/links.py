"""Links in a model's folder, which may lead out of it: to files that are nobody's model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aipc.errors import AipcError, quoted

_SNAPSHOTS, _BLOBS = "snapshots", "blobs"
_WEIGHTS = ".safetensors"


def refuse_links(folder: Path, error: type[AipcError]) -> None:
    """Refuse a folder with a link that leads out of it: what it names would become the model's.

    The folder itself may be one.  In the hub's cache, as its own library lays it out, the links of
    ``models--ORG--NAME/snapshots/COMMIT`` lead to ``models--ORG--NAME/blobs``.  Weights in
    safetensors may lie elsewhere, as people have them on another disk: of such a file tensors alone
    are read.

    Raises:
        error: naming the link.
        OSError: the folder can't be read.
    """
    allowed = list(_allowed(folder.resolve()))
    for link in _links(folder):
        target = link.resolve()
        is_weights = link.suffix == _WEIGHTS and target.is_file()
        if not (is_weights or any(target.is_relative_to(one) for one in allowed)):
            what = f"{quoted(link.name)} in '{folder}' is a link to what lies outside of it"
            raise error(
                what, f"put the file itself there: `cp -rL '{folder}' COPY` makes such a copy"
            )


def _allowed(folder: Path) -> Iterator[Path]:
    yield folder
    if folder.parent.name == _SNAPSHOTS:
        yield folder.parent.parent / _BLOBS


def _links(folder: Path) -> Iterator[Path]:
    """Those in the folder and in its own folders: no file of a model lies deeper."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            yield path
        elif path.is_dir():
            yield from (inner for inner in sorted(path.iterdir()) if inner.is_symlink())
