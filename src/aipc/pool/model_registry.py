"""The models that may be requested: those that the operator names, and those in the store."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from aipc.artifact.sentence_model import Task
from aipc.errors import AipcError, UsageError
from aipc.models import names
from aipc.models.catalogue import ADAPTED, CATALOGUE, model_name, shown_key
from aipc.models.source import (
    AdaptedSource,
    ArtifactSource,
    CheckpointSource,
    GgufSource,
    HubSource,
    Source,
    WheelSource,
)
from aipc.models.store import Store, StoredModel
from aipc.session.encoders.reader import knows_task, source_task, stored_task

_INT4_SHARE = 0.3  # of 16-bit weights: what loading converts them to by default
_PROCESS_BYTES = 400_000_000  # Python, the vendor's runtime, and a small cache
_FRESH_S = 5.0
_ADAPTER = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_LATEST = "latest"
"""NAME:latest is NAME, as Ollama's clients write it."""


@dataclass(frozen=True)
class ModelCard:
    """One model that may be requested, by its ``name``."""

    name: str
    load_name: str
    """The argument of `aipc.load`; may be a path of this machine, so it is not for clients."""
    source: Source
    what: str
    """For people; may be empty."""
    nbytes: int
    """About the size of its weights as they will be loaded; 0 where it is not known yet."""
    created: int
    """Seconds since 1970."""
    context: int | None = None
    """Tokens, from the catalogue; `Ready.context` is the true one of a loaded model."""
    task: Task | None = None
    """What it makes of texts instead of writing text; None too where it is not here yet."""
    is_here: bool = True
    """Whether its files are, so that its ``task`` is known."""
    is_named: bool = False
    """Whether the operator named it at the start."""
    is_variant: bool = False
    """Whether it is an artifact of a model that has a card itself; `Pool.models` leaves it out."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Those that it is loaded with, by name; each as `aipc.load` takes it."""
    adapter: str = ""
    """The name of the one that it is, of the model ``base``."""
    base: str = ""
    problem: str = ""
    """Why its files can't be read now; has no path."""

    @property
    def loaded_name(self) -> str:
        """The name of the model that a worker loads for it."""
        return self.base or self.name

    @property
    def memory_bytes(self) -> int:
        """Bytes that its worker will take, estimated from its files."""
        return self.nbytes + _PROCESS_BYTES


class ModelRegistry:
    """Fixed for requests: a path, address or hub id that is not in it is an unknown model."""

    def __init__(
        self,
        named: Sequence[str],
        store: Store,
        aliases: Sequence[str] = (),
        *,
        adapters: Mapping[str, str] | None = None,
        only_named: bool = False,
    ) -> None:
        """``named`` are models as `aipc.load` takes them; with ``only_named`` there are no others.

        The first of them is loaded with ``adapters``, which are models too: MODEL:NAME.

        Each of ``aliases`` is NAME=MODEL; in NAME, * stands for any text and ? for a character.

        Raises:
            ModelError: there is no such model.
            UsageError: two of them would have the same name, or an alias leads to none.
        """
        self.store = store
        self._only_named = only_named
        self._adapters = _checked(adapters or {})
        self._created = int(time.time())
        self._named = [(name, names.resolve(name, store)) for name in named]
        public = [_public_name(source) for _, source in self._named]
        for name in public:
            if public.count(name) > 1:
                raise UsageError(f"two models would be called '{name}'", "name one of them only")
        self._cards: Mapping[str, ModelCard] = {}
        self._read_s = float("-inf")
        self._aliases = [_alias(each, self.cards()) for each in aliases]

    def find(self, name: str) -> ModelCard | None:
        """The model of that name, or of the first alias that fits it; may read the disk.

        Where none has it exactly, then in any case, and as other programs call what has a short
        name.
        """
        cards = self.cards()
        if name in cards or shown_key(name) in cards:
            return cards.get(name) or cards[shown_key(name)]
        meant = (model for alias, model in self._aliases if fnmatchcase(name, alias))
        if (model := next(meant, None)) is not None:
            return cards.get(model)
        lower = name.lower()
        if (card := next((cards[one] for one in cards if one.lower() == lower), None)) is not None:
            return card
        known = CATALOGUE.named(name)
        return None if known is None else cards.get(known.name)

    def cards(self) -> Mapping[str, ModelCard]:
        """By name, those named at the start first; the store is read again after 5 s.

        It may read the disk; from any thread.
        """
        if time.monotonic() - self._read_s >= _FRESH_S:
            self._cards = self._read()
            self._read_s = time.monotonic()
        return self._cards

    def read_again(self) -> None:
        """Read the store at the next call of `cards`."""
        self._read_s = float("-inf")

    def _read(self) -> dict[str, ModelCard]:
        entries = self.store.entries()
        held = {entry.name: entry for entry in entries if entry.kind == "checkpoint"}
        fetched = [model for model in CATALOGUE.values() if model.source.name in held]
        cards = [self._named_card(*one, entries) for one in self._named]
        if self._adapters:
            cards[0] = replace(cards[0], adapters=self._adapters)
            cards += [_adapted_card(cards[0], name) for name in self._adapters]
        if self._only_named:
            return {card.name: card for card in cards}
        for model in fetched:
            nbytes, created = _weights(model.source, entries), _seconds(held[model.source.name])
            cards.append(
                ModelCard(
                    model.name,
                    model.name,
                    model.source,
                    model.what,
                    nbytes,
                    created,
                    model.context,
                    source_task(model.source, self.store),
                )
            )
        cards += [self._pulled_card(*one, entries) for one in _pulled(held.values())]
        # names in the store of the models that have a card themselves
        offered = set(_keys(cards))
        for entry in entries:
            if entry.kind == "artifact":
                is_variant = any(_is_made_of(entry, name) for name in offered)
                path, created = ArtifactSource(entry.path), _seconds(entry)
                about = (shown_key(entry.name), str(entry.path), path, "", entry.nbytes, created)
                task = stored_task(entry)
                cards.append(ModelCard(*about, task=task, is_variant=is_variant))
        found: dict[str, ModelCard] = {}
        for card in cards:
            found.setdefault(card.name, card)
        return found

    def _named_card(self, name: str, source: Source, entries: Sequence[StoredModel]) -> ModelCard:
        """Also where its files are gone or closed: the other models are not to suffer from it."""
        try:
            return self._readable_card(name, source, entries)
        except (AipcError, OSError):
            what = "its files are gone, or can't be read any more"
            about = (_public_name(source), name, source, "", 0, self._created)
            return ModelCard(*about, is_named=True, problem=what)

    def _readable_card(
        self, name: str, source: Source, entries: Sequence[StoredModel]
    ) -> ModelCard:
        is_local = not isinstance(source, (HubSource, WheelSource))
        known = CATALOGUE.find(source)
        _ = source.name  # tells whether the files are there
        return ModelCard(
            _public_name(source),
            model_name(source) if is_local else name,
            source,
            known.what if known else "",
            _weights(source, entries, known.nbytes if known else 0),
            self._created,
            known.context if known else None,
            source_task(source, self.store),
            is_here=knows_task(source, self.store),
            is_named=True,
        )

    def _pulled_card(
        self, entry: StoredModel, source: HubSource, entries: Sequence[StoredModel]
    ) -> ModelCard:
        name = model_name(source)
        made = _weights(source, entries), _seconds(entry)
        return ModelCard(name, name, source, "", *made, task=source_task(source, self.store))


def _checked(adapters: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse adapters that can't be read, before a server is up that could not load them."""
    for name, given in adapters.items():
        if not _ADAPTER.fullmatch(name) or name == _LATEST:
            raise UsageError(
                f"an adapter can't be called '{name}' here", "take letters, digits, '.', '_', '-'"
            )
        names.resolve_adapters(given)
    return adapters


def _adapted_card(card: ModelCard, adapter: str) -> ModelCard:
    return replace(
        card,
        name=f"{card.name}:{adapter}",
        what=f"{card.name} with the adapter {adapter}",
        adapters={},
        adapter=adapter,
        base=card.name,
    )


def _keys(cards: Iterable[ModelCard]) -> Iterator[str]:
    for card in cards:
        with suppress(AipcError):  # its files are gone
            yield card.source.name


def _pulled(entries: Iterable[StoredModel]) -> Iterator[tuple[StoredModel, HubSource]]:
    """The checkpoints of the hub that no short name stands for."""
    short = {model.source.name for model in CATALOGUE.values()}
    for entry in entries:
        source = entry.hub_source
        if source is not None and entry.name not in short:
            yield entry, source


def _alias(given: str, cards: Mapping[str, ModelCard]) -> tuple[str, str]:
    alias, _, model = given.partition("=")
    if not alias or model not in cards:
        raise UsageError(
            f"the alias '{given}' leads to no model",
            f"write NAME=MODEL, with one of: {', '.join(cards)}",
        )
    return alias, model


def _public_name(source: Source) -> str:
    """The last part alone of a path: clients need not know the folder."""
    if isinstance(source, AdaptedSource):
        return ADAPTED.join([_public_name(source.base), *(one.label for one in source.adapters)])
    if isinstance(source, (HubSource, WheelSource)) or source.shown:
        return model_name(source)
    return source.path.stem if source.path.suffix.lower() == ".gguf" else source.path.name


def _weights(source: Source, entries: Sequence[StoredModel], download: int = 0) -> int:
    """Bytes of the largest artifact made from it, else of one as it will be made from its files.

    ``download`` is the size of a checkpoint that is not fetched yet.
    """
    if isinstance(source, ArtifactSource):
        return _size(source.path)
    if isinstance(source, AdaptedSource):
        return _weights(source.base, entries, download)
    made = [entry.nbytes for entry in entries if _is_made_of(entry, source.name)]
    if made:
        return max(made)
    if isinstance(source, (GgufSource, WheelSource)):
        return _checkpoint(source, entries) or download
    return int(_INT4_SHARE * (_checkpoint(source, entries) or download))


def _is_made_of(entry: StoredModel, name: str) -> bool:
    return entry.kind == "artifact" and entry.name.startswith(f"{name}-")


def _checkpoint(source: CheckpointSource, entries: Sequence[StoredModel]) -> int:
    if isinstance(source, (HubSource, WheelSource)):
        return sum(entry.nbytes for entry in entries if entry.name == source.name)
    return _size(source.path)


def _size(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _seconds(entry: StoredModel) -> int:
    return int(datetime.fromisoformat(entry.created).timestamp())
