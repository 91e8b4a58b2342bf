"""The models that may be requested: those that the operator names, and those in the store."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from aipc.artifact.sentence_model import makes_embeddings
from aipc.errors import UsageError
from aipc.models import names
from aipc.models.names import CATALOGUE
from aipc.models.source import ArtifactSource, GgufSource, HubSource, Source, WheelSource
from aipc.models.store import Store, StoredModel

_INT4_SHARE = 0.3  # of 16-bit weights: what loading converts them to by default
_PROCESS_BYTES = 400_000_000  # Python, the vendor's runtime, and a small cache
_FRESH_S = 5.0


@dataclass(frozen=True)
class ModelCard:
    """One model that may be requested, by exactly its ``name``."""

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
    embeds: bool = False
    """Whether it makes vectors of texts instead of writing text."""
    is_named: bool = False
    """Whether the operator named it at the start."""
    is_variant: bool = False
    """Whether it is an artifact of a model that has a card itself; `Pool.models` leaves it out."""

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
        only_named: bool = False,
    ) -> None:
        """``named`` are models as `aipc.load` takes them; with ``only_named`` there are no others.

        Each of ``aliases`` is NAME=MODEL; in NAME, * stands for any text and ? for a character.

        Raises:
            ModelError: there is no such model.
            UsageError: two of them would have the same name, or an alias leads to none.
        """
        self.store = store
        self._only_named = only_named
        self._created = int(time.time())
        self._named = [(name, names.resolve(name)) for name in named]
        public = [_public_name(name, source) for name, source in self._named]
        for name in public:
            if public.count(name) > 1:
                raise UsageError(f"two models would be called '{name}'", "name one of them only")
        self._cards: Mapping[str, ModelCard] = {}
        self._read_s = float("-inf")
        self._aliases = [_alias(each, self.cards()) for each in aliases]

    def find(self, name: str) -> ModelCard | None:
        """The model of that name, or of the first alias that fits it; may read the disk."""
        cards = self.cards()
        if name in cards:
            return cards[name]
        meant = (model for alias, model in self._aliases if fnmatchcase(name, alias))
        return cards.get(next(meant, ""))

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
                )
            )
        cards += [_pulled_card(entry, entries) for entry in _pulled(held.values())]
        # names in the store of the models that have a card themselves
        offered = {card.source.name for card in cards}
        for entry in entries:
            if entry.kind == "artifact":
                is_variant = any(_is_made_of(entry, name) for name in offered)
                path, created = ArtifactSource(entry.path), _seconds(entry)
                about = (entry.name, path.label, path, "", entry.nbytes, created)
                cards.append(ModelCard(*about, is_variant=is_variant))
        found: dict[str, ModelCard] = {}
        for card in cards:
            found.setdefault(card.name, card)
        return found

    def _named_card(self, name: str, source: Source, entries: Sequence[StoredModel]) -> ModelCard:
        is_local = not isinstance(source, (HubSource, WheelSource))
        known = CATALOGUE.get(name)
        return ModelCard(
            _public_name(name, source),
            source.label if is_local else name,
            source,
            known.what if known else "",
            _weights(source, entries, known.nbytes if known else 0),
            self._created,
            known.context if known else None,
            isinstance(source, ArtifactSource) and makes_embeddings(source.path),
            is_named=True,
        )


def _pulled(entries: Iterable[StoredModel]) -> Iterator[StoredModel]:
    """The checkpoints of the hub that no short name stands for."""
    short = {model.source.name for model in CATALOGUE.values()}
    for entry in entries:
        if entry.facts.get("source", {}).get("kind") == "hub" and entry.name not in short:
            yield entry


def _pulled_card(entry: StoredModel, entries: Sequence[StoredModel]) -> ModelCard:
    about = entry.facts["source"]
    source = HubSource(about["repo"], about["revision"])
    is_main = source.revision == HubSource.revision
    name = source.repo if is_main else f"{source.repo}@{source.revision}"
    return ModelCard(name, name, source, "", _weights(source, entries), _seconds(entry))


def _alias(given: str, cards: Mapping[str, ModelCard]) -> tuple[str, str]:
    alias, _, model = given.partition("=")
    if not alias or model not in cards:
        raise UsageError(
            f"the alias '{given}' leads to no model",
            f"write NAME=MODEL, with one of: {', '.join(cards)}",
        )
    return alias, model


def _public_name(name: str, source: Source) -> str:
    """The last part alone of a path: clients need not know the folder."""
    if isinstance(source, (HubSource, WheelSource)):
        return name
    return source.path.stem if source.path.suffix.lower() == ".gguf" else source.path.name


def _weights(source: Source, entries: Sequence[StoredModel], download: int = 0) -> int:
    """Bytes of the largest artifact made from it, else of one as it will be made from its files.

    ``download`` is the size of a checkpoint that is not fetched yet.
    """
    if isinstance(source, ArtifactSource):
        return _size(source.path)
    made = [entry.nbytes for entry in entries if _is_made_of(entry, source.name)]
    if made:
        return max(made)
    if isinstance(source, (GgufSource, WheelSource)):
        return _checkpoint(source, entries) or download
    return int(_INT4_SHARE * (_checkpoint(source, entries) or download))


def _is_made_of(entry: StoredModel, name: str) -> bool:
    return entry.kind == "artifact" and entry.name.startswith(f"{name}-")


def _checkpoint(source: Source, entries: Sequence[StoredModel]) -> int:
    if isinstance(source, (HubSource, WheelSource)):
        return sum(entry.nbytes for entry in entries if entry.name == source.name)
    return _size(source.path)


def _size(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _seconds(entry: StoredModel) -> int:
    return int(datetime.fromisoformat(entry.created).timestamp())
