"""``aipc verify``: whether every file is unchanged."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.model_parameter import models_parameter
from aipc.cli.screen.output import notice, write_json, write_line
from aipc.cli.screen.progress_bar import display
from aipc.errors import ArtifactError, ModelNotFound

if TYPE_CHECKING:
    from aipc.models.store import Store
    from aipc.progress import Progress

_CACHED, _CLIENTS = "cache/", ("files/", "batches/")


@click.command(cls=SectionedCommand)
@models_parameter(metavar="NAME")
@click.option("--json", "wants_json", is_flag=True, help="A JSON list of names and problems.")
def verify(models: tuple[str, ...], wants_json: bool) -> None:
    """Read every file of the store, or of the models named, and compare it with its hash.

    Without a name also what `aipc cache list` lists, and the uploads and batches of `aipc serve`.

    NAME is a model's name, that of one checkpoint or artifact as `aipc models` lists it, or a
    folder that aipc made anywhere. Exits with 1 where anything is wrong.
    """
    from aipc.models.blobs import verify_blobs
    from aipc.models.catalogue import shown_key
    from aipc.models.store import Store

    store = Store()
    chosen: list[str | Path] = [one for name in models for one in _meant(name, store)]
    with display() as progress:
        problems = {
            shown_key(one) if isinstance(one, str) else str(one): _problems(one, store, progress)
            for one in chosen or store.names()
        }
        found = {name: told for name, told in problems.items() if told is not None}
        if not models:
            blobs = verify_blobs(store.blobs, progress)
            found |= {f"{_CACHED}{name}": problems for name, problems in blobs.items()}
            found |= _of_clients(store)
    if wants_json:
        write_json([{"name": name, "problems": problems} for name, problems in found.items()])
    else:
        _show(found, store.home)
    if any(found.values()):
        raise click.exceptions.Exit(1)


def _problems(one: str | Path, store: Store, progress: Progress) -> Sequence[str] | None:
    """None of what this version of aipc can't judge, which is told."""
    from aipc.artifact import manifest

    try:
        if isinstance(one, str):
            return store.verify(one, progress)
        return manifest.verify(one, progress)
    except manifest.OfAnotherVersion as other:
        notice(f"not verified: {other}")
        return None


def _of_clients(store: Store) -> dict[str, Sequence[str]]:
    """What clients of `aipc serve` keep here, each by its path in the store."""
    from aipc.serve.batches.file_store import FileStore
    from aipc.serve.batches.record import BatchFolder

    parts = (store.files, FileStore(store.files, 0)), (store.batches, BatchFolder(store.batches))
    return {
        f"{folder.name}/{name}": problems
        for folder, kept in parts
        for name, problems in kept.verify().items()
    }


def _meant(name: str, store: Store) -> Sequence[str | Path]:
    """Keys of the store, or a folder elsewhere."""
    from aipc.models.names import stored_keys

    try:
        return stored_keys(name, store)
    except ModelNotFound:
        if not Path(name).expanduser().exists():
            raise
        return [_own_folder(Path(name).expanduser().absolute())]


def _own_folder(path: Path) -> Path:
    from aipc.artifact import manifest

    if not (path / manifest.FILE).is_file():
        what = f"'{path}' has no {manifest.FILE} to compare with, so aipc did not make it"
        raise ArtifactError(
            what, "name a folder of `aipc convert MODEL -o DIR`, or what `aipc models` lists"
        )
    return path


def _show(found: Mapping[str, Sequence[str]], home: Path) -> None:
    for name, problems in found.items():
        write_line(f"{name}: {'damaged' if problems else 'sound'}")
        for problem in problems:
            write_line(f"  {problem}")
    damaged = [name for name, problems in found.items() if problems]
    if any(name.startswith(_CACHED) for name in damaged):
        notice("mend with `aipc cache prune --all`: what is needed of it is made again")
    clients = [name for name in damaged if name.startswith(_CLIENTS)]
    if clients:
        notice(f"mend by removing {', '.join(f'{home / name}*' for name in clients)}")
    others = (_CACHED, *_CLIENTS)
    kept = [name for name in damaged if not (Path(name).is_absolute() or name.startswith(others))]
    if kept:
        notice(f"mend with `aipc rm {shlex.join(kept)}`, then fetch or convert again")
