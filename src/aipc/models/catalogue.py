"""The short names: each a model with its source, and what it is called everywhere.

They are those of catalogue.toml, and networks.toml has their sizes.  `model_name` is what people
read of a model: in banners, errors, logs, results and lists.  What lies in the store has a key as
its folder's name, and `shown_key` and `meant_key` go from one to the other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aipc.models.source import (
    AdaptedSource,
    AdapterSource,
    HubSource,
    Source,
    WheelSource,
    describe,
)
from aipc.tables import read_table

_TABLE = read_table(__package__, "catalogue.toml")
_NETWORKS = read_table(__package__, "networks.toml")
_IDENTITY = ("kind", "repo", "distribution", "member")
"""Facts of a source that tell one model from another; the others tell its versions."""
ADAPTED = " + "
"""Between the names of a model and of its adapters."""
KINDS = ("chat", "embedding", "reranking")
"""What models write, make of texts, or judge them by."""
_EXAMPLE = "Qwen/Qwen3-8B"
_FAMILY = 4
"""Letters and digits of the shortest word that is taken for a model's: "phi3"."""
_SURE = 2
"""Unrelated projects that pin a commit, from which on it is taken for checked."""


@dataclass(frozen=True)
class Model:
    """One short name: ``nbytes`` is its download, ``context`` its longest text in tokens.

    ``parameters`` are those of its network, and ``config`` has the sizes that they follow from, as
    its config.json; ``gated`` models can be fetched only by hub users who accepted their licence;
    ``sampling`` is what their makers state, as `aipc.runtimes.sampling.Sampling` names it;
    ``aliases`` are what other programs call it, in lower case; ``kind`` is one of `KINDS`.
    """

    name: str
    what: str
    source: HubSource | WheelSource
    licence: str
    parameters: int
    nbytes: int
    context: int
    config: Mapping[str, Any]
    kind: str = KINDS[0]
    gated: bool = False
    sampling: Mapping[str, float] = field(default_factory=dict)
    sampling_without_thinking: Mapping[str, float] = field(default_factory=dict)
    """The same where a request forbids thinking; empty: nothing else is stated."""
    aliases: tuple[str, ...] = ()
    pinned_by: int = 0
    """How many unrelated public projects were seen to pin the same commit of the hub."""
    recommended: bool = False
    """The first choice among models of its size."""

    @property
    def terms(self) -> str:
        """What to know before fetching it, for people: "MIT", or what has to be done first."""
        first = ", to be accepted on the hub first" if self.gated else ""
        return f"{self.licence}{first}{'' if self.is_checked else '; commit unchecked'}"

    @property
    def is_checked(self) -> bool:
        """Whether its bytes are vouched for: by a hash here, or by others who take the same."""
        return isinstance(self.source, WheelSource) or self.pinned_by >= _SURE


class ModelCatalogue(Mapping[str, Model]):
    """Short names in the file's order, each with its model; ``default`` is one of them."""

    def __init__(self, models: tuple[Model, ...], default: str) -> None:
        self._models = {model.name: model for model in models}
        sources = [(model, model.source) for model in models]
        hub = [(model, source.repo) for model, source in sources if isinstance(source, HubSource)]
        self._repos = {repo.lower(): repo for _, repo in hub}
        self._called = {repo.partition("/")[2].lower(): model for model, repo in hub}
        self._called |= {alias: model for model in models for alias in model.aliases}
        self._called |= self._models
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

    def named(self, name: str) -> Model | None:
        """The model of that short name, alias or last part of a hub id, in any case."""
        return self._called.get(name.strip().lower())

    def spelled(self, repo: str) -> str:
        """A hub id in the case that the hub has it in, where it is known here."""
        return self._repos.get(repo.lower(), repo)

    def meant(self, word: str) -> str | None:
        """The short name that somebody has in mind who writes ``word`` alone; None: no model.

        "Phi3", "llama3.2:1b" and "Phi-3-mini-4k-instruct", as other programs have them.
        """
        last = word.rpartition("/")[2]
        if (model := self.named(last)) is not None:
            return model.name
        plain = _letters(last)
        found = (model.name for name, model in self._called.items() if _letters(name) == plain)
        if plain and (name := next(found, None)) is not None:
            return name
        if len(plain) < _FAMILY or not any(letter.isdecimal() for letter in plain):
            return None
        return next((name for name in self._models if _letters(name).startswith(plain)), None)

    def near(self, name: str) -> list[str]:
        """Up to three short names that look like ``name``, a short name or a hub id."""
        looks = {called: model.name for called, model in self._called.items()}
        looks |= {repo: looks[repo.partition("/")[2]] for repo in self._repos}
        matches = difflib.get_close_matches(name.lower(), looks, n=9, cutoff=0.5)
        close = [looks[look] for look in matches]
        meant = self.meant(name)
        return list(dict.fromkeys([meant, *close] if meant else close))[:3]


def suggestion(name: str) -> str:
    """What to try instead of an unknown name, for the end of an error."""
    near = CATALOGUE.near(name)
    if near:
        start = f"did you mean {' or '.join(repr(short) for short in near)}?"
    else:
        start = "`aipc models --available` lists the short names;"
    return f"{start} any other is named by its hub id, org/name, such as {_EXAMPLE}"


def _model(entry: dict[str, Any]) -> Model:
    rest = {key: value for key, value in entry.items() if key not in {"hub", "wheel", "network"}}
    network = dict(_NETWORKS[entry["network"]])
    rest["parameters"] = network.pop("parameters")
    rest["config"] = {"max_position_embeddings": entry["context"], **network}
    rest["aliases"] = tuple(entry.get("aliases", ()))
    if "hub" in entry:
        return Model(source=HubSource(**entry["hub"]), **rest)
    return Model(source=WheelSource(**entry["wheel"]), **rest)


CATALOGUE = ModelCatalogue(tuple(map(_model, _TABLE["model"])), _TABLE["default"])


def model_name(source: Source) -> str:
    """What a model is called everywhere: its short name, hub id or path, as commands take it."""
    if isinstance(source, AdaptedSource):
        return ADAPTED.join([model_name(source.base), *map(_adapter_name, source.adapters)])
    known = CATALOGUE.find(source)
    if known is not None:
        return known.name
    if isinstance(source, HubSource):
        is_main = source.revision == HubSource.revision
        return source.repo if is_main else f"{source.repo}@{source.revision}"
    if isinstance(source, WheelSource):
        return f"{source.distribution} {source.version}"
    return source.shown or str(source.path)


def _adapter_name(adapter: AdapterSource) -> str:
    scale = "" if adapter.strength == 1 else f":{adapter.strength:g}"
    return f"{model_name(adapter.source)}{scale}"


def shown_key(key: str) -> str:
    """A key of the store with the short name of its model, where it has one."""
    return _renamed(key, {model.source.name: name for name, model in CATALOGUE.items()})


def meant_key(name: str) -> str:
    """The key of what `shown_key` showed, in any case; other names as they are."""
    keys = {short: model.source.name for short, model in CATALOGUE.items()}
    lower = name.strip().lower()
    found = _renamed(lower, keys)
    return name.strip() if found == lower else found


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """With the longest of ``names`` that it begins with replaced."""
    for name in sorted(names, key=len, reverse=True):
        if text == name or text.startswith((f"{name}-", f"{name}+")):
            return names[name] + text[len(name) :]
    return text


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
