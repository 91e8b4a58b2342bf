"""A repository of OpenVINO Model Server: models in versions, and which of them are served.

    DIR/config.json           model → the folder that is served
    DIR/NAME/1/…              a version: the artifact, graph.pbtxt and aipc.json
    DIR/NAME.kserve.yaml      for a cluster: `aipc.export.kserve`

The server has no versions of generative models of its own: config.json names the folder.  Weights
are hard links where the file system has them, all else is copied, because it may be edited.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc import disk
from aipc.artifact import manifest
from aipc.artifact.manifest import FileFacts
from aipc.errors import ArtifactError, CheckpointError
from aipc.export import graph
from aipc.models import staging
from aipc.progress import Progress, silent
from aipc.records import read_object, replace_text

CONFIG = "config.json"
_LIST = "model_config_list"
_LINKED = ".bin"


@dataclass(frozen=True)
class ExportedVersion:
    """``reused``: the newest one holds just this already."""

    path: Path
    number: int
    nbytes: int
    reused: bool


def add_version(
    root: Path,
    name: str,
    artifact: Path,
    graph_text: str,
    facts: Mapping[str, Any],
    progress: Progress = silent,
) -> ExportedVersion:
    """The newest version of the model is this artifact with this graph; `serve_version` serves it.

    It is there whole or not at all.  ``artifact`` may be a vendor's folder, without a manifest.

    Raises:
        ArtifactError: the disk is full or forbidden, or something else is in the way.
    """
    model = root / name
    with disk.explained(root, ArtifactError):
        model.mkdir(parents=True, exist_ok=True)
        with staging.locked(model, progress=progress):
            files = {**_files(artifact), graph.FILE: _text_facts(graph_text)}
            newest = max(_versions(model), default=0)
            found = manifest.find(model / str(newest))
            is_there = found is not None and found.files == files
            number = newest if is_there else newest + 1
            if not is_there:
                _write(model / str(number), artifact, graph_text, files, facts, progress)
    nbytes = sum(file.size for file in files.values())
    return ExportedVersion(model / str(number), number, nbytes, is_there)


def serve_version(root: Path, name: str, number: int) -> Path:
    """Name the version in config.json, in place of another one; the other models stay.

    The server reads the file again every second, unless it is told otherwise.

    Raises:
        ArtifactError: there is a config.json that can't be read, or the disk refuses.
    """
    file = root / CONFIG
    with disk.explained(root, ArtifactError), staging.locked(file):
        config = _read(file) if file.exists() else {}
        entries = [one for one in config.get(_LIST, []) if one["config"].get("name") != name]
        entries.append({"config": {"name": name, "base_path": f"{name}/{number}"}})
        replace_text(file, json.dumps({**config, _LIST: entries}, indent=2) + "\n")
    return file


def _read(file: Path) -> dict[str, Any]:
    fix = "correct it, or export to a new folder"
    try:
        config = read_object(file)
    except CheckpointError as error:
        raise ArtifactError(error.what, fix) from error
    entries = config.get(_LIST, [])
    is_list = isinstance(entries, list) and all(
        isinstance(one, dict) and isinstance(one.get("config"), dict) for one in entries
    )
    if not is_list:
        raise ArtifactError(f"'{file}' has a {_LIST} that is not the server's", fix)
    return config


def _versions(model: Path) -> list[int]:
    return [int(path.name) for path in model.iterdir() if path.name.isdecimal()]


def _write(
    final: Path,
    artifact: Path,
    graph_text: str,
    files: Mapping[str, FileFacts],
    facts: Mapping[str, Any],
    progress: Progress,
) -> None:
    with staging.staged(final, error=ArtifactError, progress=progress) as folder:
        if folder is None:
            return
        for name in files:
            if name != graph.FILE:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                _put(artifact / name, folder / name)
        (folder / graph.FILE).write_text(graph_text, "utf-8", newline="\n")
        manifest.write(folder, "artifact", final.parent.name, facts, known=files)


def _put(source: Path, target: Path) -> None:
    if source.suffix == _LINKED:
        try:
            os.link(source.resolve(), target)
        except OSError:  # another disk, or a file system without links
            pass
        else:
            return
    shutil.copyfile(source, target)


def _files(artifact: Path) -> dict[str, FileFacts]:
    """Without hidden ones, and without a graph, which an exported version has of its own."""
    made = manifest.find(artifact)
    known = made.files if made else {}
    paths = {
        path.relative_to(artifact).as_posix(): path
        for path in artifact.rglob("[!.]*")
        if path.is_file()
    }
    return {
        name: known.get(name) or FileFacts(path.stat().st_size, manifest.sha256(path))
        for name, path in sorted(paths.items())
        if name not in {manifest.FILE, graph.FILE} and not name.startswith(".")
    }


def _text_facts(text: str) -> FileFacts:
    data = text.encode()
    return FileFacts(len(data), hashlib.sha256(data).hexdigest())
