"""The Hugging Face hub: look a repository up, choose and fetch the files of its checkpoint.

HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and HF_HUB_DOWNLOAD_TIMEOUT (seconds) are honored.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from aipc import disk, remedies
from aipc.artifact.files import (
    ADAPTER,
    ADAPTER_WEIGHTS,
    CONFIG,
    RUNTIME_FILES,
    TOKENIZER,
    gguf_models,
)
from aipc.artifact.manifest import FileFacts
from aipc.errors import (
    AccessDenied,
    AipcError,
    DownloadFailed,
    ModelError,
    ModelNotFound,
    UnsafeModel,
)
from aipc.models import transfer
from aipc.models.catalogue import model_name, suggestion
from aipc.models.lookalikes import lookalike
from aipc.models.source import COMMIT, PICKLES, HubAdapterSource, HubSource
from aipc.models.transfer import RemoteFile
from aipc.progress import Meter, Progress, silent

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_TEXT = re.compile(
    r"config\.json|generation_config\.json"
    r"|tokenizer[a-z_]*\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json"
    r"|vocab\.json|merges\.txt|tekken\.json"
    r"|chat_template[\w.-]*\.(jinja|json)|additional_chat_templates/\w[\w.-]*\.jinja"
    r"|modules\.json|config_sentence_transformers\.json|sentence_\w[\w-]*_config\.json"
    r"|\d+_\w+/config\.json|\d+_Dense\w*/model\.safetensors"
    r"|LICEN[SC]E[\w.-]*",
    re.ASCII,
)
_TEKKEN = "tekken.json"  # 15 MB of what tokenizer.json has as well
_GGUF = re.compile(r"\w[\w.+-]*\.gguf", re.ASCII)

_AGAIN = "check the network, then run the command again: what has arrived is kept"


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
    """The files of a checkpoint: safetensors or one GGUF model, configs, tokenizer, licence.

    Only plain names at the top of the repository are taken, chat templates in their folder, and the
    settings and weights of sentence-transformers' modules in theirs; never pickles, never code.

    Raises:
        UnsafeModel: the weights are there only as pickles, or a name leaves the repository.
        ModelNotFound: there are no weights, or several GGUF models to choose from.
    """
    _check_inside(repo, files)
    names = {file.name for file in files}
    weights = _weights(repo, names)
    if weights[0].endswith(".safetensors") and CONFIG not in names:
        raise ModelNotFound(f"'{repo}' has no config.json", "it holds no whole model; try another")
    wanted = {*weights, *(name for name in names if _TEXT.fullmatch(name))}
    if TOKENIZER in names:
        wanted.discard(_TEKKEN)
    return tuple(sorted((file for file in files if file.name in wanted), key=lambda f: f.name))


def choose_adapter(repo: str, files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The files of an adapter: its numbers, and what they are of.

    Raises:
        UnsafeModel: its weights are there only as a pickle, or a name leaves the repository.
        ModelNotFound: it is no adapter.
    """
    _check_inside(repo, files)
    names = {file.name for file in files}
    if ADAPTER not in names:
        what = f"'{repo}' is no adapter: it has no {ADAPTER}"
        raise ModelNotFound(what, "name an adapter's repository, or its folder")
    if ADAPTER_WEIGHTS not in names:
        what = f"'{repo}' has its adapter's weights only as a pickle, or none"
        raise UnsafeModel(what, f"take a repository with {ADAPTER_WEIGHTS}")
    return tuple(file for file in files if file.name in {ADAPTER, ADAPTER_WEIGHTS})


def _check_inside(repo: str, files: Sequence[RemoteFile]) -> None:
    for file in files:
        parts = re.split(r"[/\\]", file.name)
        if not parts[0] or ".." in parts:
            what = f"the hub lists a file outside the repository '{repo}': {file.name!r}"
            raise UnsafeModel(what, "nothing was downloaded; check HF_ENDPOINT")


def _weights(repo: str, names: set[str]) -> list[str]:
    """The files that hold the weights, and their index."""
    top = sorted(name for name in names if "/" not in name)
    if _SINGLE in names:
        return [_SINGLE]
    shards = [name for name in top if _SHARD.fullmatch(name)]
    if shards and _INDEX in names:
        return [*shards, _INDEX]
    ggufs = gguf_models(name for name in top if _GGUF.fullmatch(name))
    if len(ggufs) == 1:
        return _whole(repo, ggufs[0], names)
    if ggufs:
        fix = f"download the one you want and give its path: {', '.join(p[0] for p in ggufs[:4])} …"
        raise ModelNotFound(f"'{repo}' holds {len(ggufs)} GGUF files, not one", fix)
    raise _no_weights(repo, names)


def _whole(repo: str, parts: Sequence[str], names: set[str]) -> list[str]:
    for part in parts:
        if part not in names:
            what = f"'{repo}' lacks '{part}', one of {len(parts)} parts of its model"
            raise ModelNotFound(what, "try another repository")
    return list(parts)


def _no_weights(repo: str, names: set[str]) -> ModelError:
    suffixes = Counter(PurePosixPath(name).suffix.lower() for name in sorted(names))
    found = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(6) if suffix)
    if names & set(RUNTIME_FILES.values()):
        download = remedies.command("hub-download")
        fix = f"download it with {download} and give the folder that holds its files"
        return ModelNotFound(f"'{repo}' holds a converted model, no safetensors", fix)
    what, fix = lookalike(repo, {name.split("/")[0] for name in names})
    if what:
        return ModelNotFound(what, fix)
    if PICKLES & set(suffixes):
        fix = "use a repository with .safetensors files; https://huggingface.co/docs/safetensors"
        what = f"'{repo}' has its weights only as pickles, which run code when opened"
        return UnsafeModel(f"{what} (found: {found})", fix)
    fix = "give a repository with model.safetensors or .gguf files"
    return ModelNotFound(f"'{repo}' holds no weights (found: {found or 'no files'})", fix)


def look_up(source: HubSource) -> Listing:
    """Find the commit of the source's revision, and its files.

    Raises:
        ModelNotFound: no such repository or revision, or no weights in it.
        AccessDenied: it is private or gated, and this user has no access.
        UnsafeModel: its weights are there only as pickles.
        DownloadFailed: offline, no answer, or an answer that is no hub's.
    """
    if transfer.is_offline():
        what = f"'{model_name(source)}' is not in the store, and HF_HUB_OFFLINE forbids to fetch it"
        raise DownloadFailed(what, "unset HF_HUB_OFFLINE and run the command again")
    commit, files = _request(source)
    is_pinned = COMMIT.fullmatch(source.revision) is not None
    if not COMMIT.fullmatch(commit) or (is_pinned and source.revision != commit):
        what = f"the hub answers for '{model_name(source)}' with commit {commit[:60]!r}"
        raise DownloadFailed(what, "check HF_ENDPOINT")
    choice = choose_adapter if isinstance(source, HubAdapterSource) else choose
    chosen = choice(source.repo, files)
    for file in chosen:
        if file.nbytes < 0 or not file.stated:
            what = f"the hub states no size or no hash for '{file.name}' of '{model_name(source)}'"
            raise DownloadFailed(what, "what can't be checked is not fetched; check HF_ENDPOINT")
    return Listing(source.repo, commit, chosen)


def download(
    source: HubSource, listing: Listing, folder: Path, progress: Progress = silent
) -> dict[str, FileFacts]:
    """Fetch the listed files into ``folder``, going on from what an earlier attempt left there.

    Every file is checked against the size and hash that the hub states; anything else in the
    folder is removed.  Returns size and SHA-256 by name.

    Raises:
        DownloadFailed: the network gave up, the disk is too small, or a file arrived wrong.
        AccessDenied: the hub lists the files, but refuses them to this user.
    """
    missing = listing.nbytes - sum(transfer.size(path) for path in _files(folder))
    disk.require(folder, missing, f"downloading {model_name(source)}", DownloadFailed)
    meter = Meter(progress, f"downloading {model_name(source)}", listing.nbytes)
    with _explained(source):
        facts = {file.name: _fetch(listing, file, folder, meter) for file in listing.files}
    for path in _files(folder):
        if path.relative_to(folder).as_posix() not in facts:
            path.unlink()  # of another commit, from an attempt before the branch moved
    return facts


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _request(source: HubSource) -> tuple[str, list[RemoteFile]]:
    """The commit and the files of a repository."""
    api = transfer.package().HfApi(endpoint=transfer.endpoint(), library_name="aipc")
    wanted = {"revision": source.revision, "files_metadata": True, "timeout": transfer.timeout()}
    try:
        with _explained(source):
            info = api.model_info(source.repo, **wanted)
        return str(info.sha), [_remote_file(sibling) for sibling in info.siblings or []]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"{transfer.endpoint()} does not answer as a hub does ({str(error)[:120]})"
        fix = "check HF_ENDPOINT, and whether the network wants you to log in"
        raise DownloadFailed(what, fix) from error


def _fetch(listing: Listing, file: RemoteFile, folder: Path, meter: Meter) -> FileFacts:
    target = folder / file.name
    target.parent.mkdir(exist_ok=True)
    facts = transfer.facts_of(file, target)
    if facts is not None:
        meter.add(file.nbytes)
        return facts
    # Named after its contents: a part of another commit's file must never be continued.
    partial = folder / f"{file.name}.{file.stated[:16]}.partial"
    meter.add(transfer.size(partial))
    url = f"{transfer.endpoint()}/{listing.repo}/resolve/{listing.commit}/{file.name}"
    transfer.download(url, file, partial, meter.add)
    facts = transfer.facts_of(file, partial)
    if facts is None:
        partial.unlink()
        what = f"'{file.name}' arrived damaged: its hash is not the one that the hub states"
        raise DownloadFailed(what, "it was removed; run the command again")
    disk.rename(partial, target)
    return facts


def _remote_file(sibling: Any) -> RemoteFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs is not None else None
    nbytes = sibling.size if isinstance(sibling.size, int) else -1
    return RemoteFile(sibling.rfilename, nbytes, sha256, sibling.blob_id)


@contextmanager
def _explained(source: HubSource) -> Iterator[None]:
    """Turn the hub client's errors into ours."""
    try:
        yield
    except transfer.http_error() as error:
        raise _translate(source, error) from error


def _translate(source: HubSource, error: Exception) -> AipcError:
    response = getattr(error, "response", None)
    if response is None:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return DownloadFailed(f"the hub at {transfer.endpoint()} did not answer ({reason})", _AGAIN)
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    if status in (401, 403) or code == "GatedRepo":
        return _denied(source, code, status)
    if status == 404:
        return _not_found(source, code)
    return DownloadFailed(f"the hub answers {status} for '{model_name(source)}'", _AGAIN)


def _denied(source: HubSource, code: str, status: int) -> AccessDenied:
    page = f"{transfer.endpoint()}/{source.repo}"
    log_in = f"log in with {remedies.command('hub-login')} or set HF_TOKEN"
    if code == "GatedRepo":
        return AccessDenied(
            f"'{source.repo}' is gated", f"accept its licence at {page}, then {log_in}"
        )
    if status == 401:
        # The hub answers the same for private and for unknown repositories.
        what = f"the hub shows no public '{source.repo}'"
        return AccessDenied(what, f"check the name ({suggestion(source.repo)}), or {log_in}")
    return AccessDenied(
        f"the hub refuses you '{source.repo}'", f"ask for access at {page}, or {log_in}"
    )


def _not_found(source: HubSource, code: str) -> ModelNotFound:
    if code == "RevisionNotFound":
        page = f"{transfer.endpoint()}/{source.repo}/tree/main"
        return ModelNotFound(f"'{source.repo}' has no revision '{source.revision}'", f"see {page}")
    if code == "EntryNotFound":
        return ModelNotFound(
            f"'{model_name(source)}' lacks a file that the hub lists", "run it again"
        )
    return ModelNotFound(f"the hub has no '{source.repo}'", suggestion(source.repo))
