"""The modules that a text goes through, as sentence-transformers' modules.json lists them.

They stand in folders beside a checkpoint's weights or an artifact's graph
(https://sbert.net/docs/package_reference/sentence_transformer/modules.html).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from aipc.artifact.files import CONFIG
from aipc.errors import ArtifactError, quoted

PoolingMode: TypeAlias = Literal[
    "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"
]
MODULES = "modules.json"
POOLING = "1_Pooling/config.json"
MODULE_WEIGHTS = "model.safetensors"
_MODES: tuple[PoolingMode, ...] = get_args(PoolingMode)
_SWITCH = "pooling_mode_"
_SWITCHES: Mapping[str, PoolingMode] = {
    f"{_SWITCH}cls_token": "cls",
    f"{_SWITCH}max_tokens": "max",
    f"{_SWITCH}mean_tokens": "mean",
    f"{_SWITCH}mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    f"{_SWITCH}weightedmean_tokens": "weightedmean",
    f"{_SWITCH}lasttoken": "lasttoken",
}
"""Modes where each has a switch of its own, in the order in which their vectors are joined."""
_INPUT = "sentence_embedding"
_ACTIVATIONS = {
    "Tanh": "tanh",
    "Identity": "identity",
    "ReLU": "relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Sigmoid": "sigmoid",
}
_OWN_FILE = "take the model's own file"


@dataclass(frozen=True)
class Pooling:
    """How the vectors of a text's tokens become one: those of several modes are joined."""

    modes: tuple[PoolingMode, ...] = ("mean",)
    includes_prompt: bool = True
    """Whether the tokens of what stands before a text count."""

    def __str__(self) -> str:
        return "+".join(self.modes)


@dataclass(frozen=True)
class Normalize:
    """Makes a vector's length 1."""


@dataclass(frozen=True)
class Dense:
    """A vector times a matrix, plus a bias, activated: of ``columns`` numbers ``rows``.

    With a ``residual`` the vector itself, or it times another matrix, is added to that.
    """

    weights: Path
    """A safetensors file with linear.weight [rows, columns], linear.bias, residual.weight."""
    rows: int
    columns: int
    has_bias: bool
    activation: str
    """One of tanh, identity, relu, gelu, silu and sigmoid."""
    residual: bool


Step: TypeAlias = Normalize | Dense


@dataclass(frozen=True)
class Modules:
    """What makes a vector of a text's hidden states: a pooling, then each step."""

    pooling: Pooling
    steps: tuple[Step, ...]
    note: str = ""
    """A warning for the user about these; may be empty."""

    @property
    def normalized(self) -> bool:
        """Whether a vector's length is 1 at last."""
        return isinstance(next(reversed(self.steps), None), Normalize)

    @property
    def dense(self) -> tuple[Dense, ...]:
        return tuple(step for step in self.steps if isinstance(step, Dense))


def read_modules(folder: Path) -> Modules:
    """By the files of ``folder``; without them the mean, of length 1, and a note of that.

    Raises:
        ArtifactError: a file is damaged or missing, or asks for what is not known here.
    """
    listed = [one for one in list_modules(folder) if one[1] != "Dropout"]  # only for training
    _check_order(folder, [kind for _, kind in listed])
    path = listed[1][0] if len(listed) > 1 else ""
    file = folder / path / CONFIG if path else folder / POOLING
    stated = read_object(file)
    note = f"'{folder.name}' has no {POOLING}: the mean of a text's tokens is taken"
    return Modules(
        _pooling(stated, file) if stated else Pooling(),
        tuple(_step(folder, *one) for one in listed[2:]) if listed else (Normalize(),),
        "" if stated else note,
    )


def pools(folder: Path) -> bool:
    """Whether sentence-transformers' files in ``folder`` make one vector of a text's tokens."""
    return any(kind == "Pooling" for _, kind in list_modules(folder))


def token_scores(folder: Path) -> tuple[int, int | None] | None:
    """The token whose logit is a text's score, and the one whose is taken off it, if there is one.

    By sentence-transformers' module LogitScore; None: the model gives no such scores.

    Raises:
        ArtifactError: the module's settings are missing or damaged.
    """
    path = next((path for path, kind in list_modules(folder) if kind == "LogitScore"), None)
    if path is None:
        return None
    stated = read_object(folder / path / CONFIG)
    ids = [stated.get(f"{kind}_token_id") for kind in ("true", "false")] if stated else [None]
    if type(ids[0]) is not int or not isinstance(ids[-1], int | None):
        raise _no_modules(folder, f"no token's score in {quoted(path)}")
    return ids[0], ids[-1]


def module_files(folder: Path) -> list[Path]:
    """Of ``folder``: the list of modules, with the settings and the weights of each."""
    found = [folder / MODULES]
    for path, kind in list_modules(folder):
        if path:
            found.append(folder / path / CONFIG)
        if kind == "Dense":
            found.append(folder / path / MODULE_WEIGHTS)
    return [path for path in dict.fromkeys(found) if path.is_file()]


def list_modules(folder: Path) -> Iterator[tuple[str, str]]:
    """(folder, kind) of each, "Pooling" of sentence_transformers.models.Pooling."""
    try:
        stated = [
            (str(one.get("path") or ""), one["type"]) for one in _read_json(folder / MODULES) or []
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise _no_modules(folder, error) from error
    for path, kind in stated:
        if ".." in path.split("/") or path.startswith("/"):
            raise _no_modules(folder, quoted(path))
        yield path, str(kind).rpartition(".")[2]


def read_object(file: Path) -> Mapping[str, Any]:
    """The object that a file holds; empty where there is no such file.

    Raises:
        ArtifactError: it is no JSON, or no object.
    """
    stated = _read_json(file)
    if stated is not None and not isinstance(stated, Mapping):
        raise ArtifactError(f"'{file}' is damaged: it is no JSON object", "export the model again")
    return stated or {}


def part_of(stated: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that is an object; empty where it is not there.

    Raises:
        ArtifactError: it is no object.
    """
    part = stated.get(name) or {}
    if not isinstance(part, Mapping):
        what = f"{quoted(name)} is {quoted(part)} in the model's settings, and no object"
        raise ArtifactError(what, "take the model's own files")
    return part


def _read_json(file: Path) -> Any:
    """What a file holds; None where there is none."""
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"'{file}' is damaged: {error}", "export the model again") from error


def _check_order(folder: Path, kinds: Sequence[str]) -> None:
    """A text has to go through a Transformer, then a Pooling, then what changes vectors."""
    known = "Transformer, Pooling, Normalize and Dense"
    unknown = [kind for kind in kinds if kind not in known.replace(",", "").split()]
    if unknown:
        raise ArtifactError(
            f"'{folder}' has texts go through a module {quoted(unknown[0])}, which is not known"
            " here",
            f"take a model of {known} alone",
        )
    first = ["Transformer", "Pooling"]
    if list(kinds[:2]) != first[: len(kinds)] or set(first).intersection(kinds[2:]):
        raise ArtifactError(
            f"'{folder}' has texts go through {', '.join(kinds)}",
            "take a model that has a Transformer, one Pooling, then Normalize or Dense",
        )


def _step(folder: Path, path: str, kind: str) -> Step:
    file = folder / path / CONFIG
    stated = read_object(file) if path else {}
    ends = stated.get("module_input_name", _INPUT), stated.get("module_output_name")
    if ends[0] != _INPUT or ends[1] not in {None, _INPUT}:
        raise _unknown(file, f"what becomes of {quoted(ends[1] or ends[0])}")
    return _dense(file, stated) if kind == "Dense" else Normalize()


def _dense(file: Path, stated: Mapping[str, Any]) -> Dense:
    weights = file.with_name(MODULE_WEIGHTS)
    if not weights.is_file():
        raise ArtifactError(f"'{weights}' is missing", "take a revision that has it")
    sizes = [stated.get(name) for name in ("out_features", "in_features")]
    rows, columns = (size if type(size) is int and size > 0 else 0 for size in sizes)
    if not rows or not columns:
        raise ArtifactError(f"'{file}' states no in_features or out_features", _OWN_FILE)
    name = str(stated.get("activation_function") or "torch.nn.modules.activation.Tanh")
    kind = name.rpartition(".")[2]
    if not name.startswith("torch.nn.modules.") or kind not in _ACTIVATIONS:
        raise _unknown(file, f"the activation {quoted(name)}")
    return Dense(
        weights,
        rows,
        columns,
        stated.get("bias") is not False,
        _ACTIVATIONS[kind],
        stated.get("use_residual") is True,
    )


def _pooling(stated: Mapping[str, Any], file: Path) -> Pooling:
    now = stated.get("pooling_mode") or [
        _SWITCHES.get(name, name)
        for name in dict.fromkeys((*_SWITCHES, *stated))
        if name.startswith(_SWITCH) and stated.get(name)
    ]
    modes = tuple(now) if isinstance(now, list) else (now,)
    if not modes or not all(mode in _MODES for mode in modes):
        raise ArtifactError(
            f"'{file}' asks for {' and '.join(map(quoted, modes)) or 'no pooling'}",
            f"{', '.join(_MODES)} can be had here",
        )
    return Pooling(modes, stated.get("include_prompt") is not False)


def _unknown(file: Path, what: str) -> ArtifactError:
    return ArtifactError(f"'{file}' asks for {what}, which is not known here", _OWN_FILE)


def _no_modules(folder: Path, why: object) -> ArtifactError:
    what = f"'{folder / MODULES}' lists what is no module: {why}"
    return ArtifactError(what, _OWN_FILE)
