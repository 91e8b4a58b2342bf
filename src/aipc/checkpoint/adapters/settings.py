"""What an adapter's adapter_config.json says: peft's ``LoraConfig``.

Source: https://huggingface.co/docs/peft/package_reference/lora#peft.LoraConfig, as of peft 0.21.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aipc.artifact.files import ADAPTER
from aipc.errors import CheckpointError, UnsupportedModel, misstated, quoted
from aipc.records import read_object

MOST_RANK = 2**14
_READ = frozenset(
    {
        *("peft_type", "base_model_name_or_path", "r", "lora_alpha", "use_rslora", "use_dora"),
        *("rank_pattern", "alpha_pattern", "modules_to_save", "ensure_weight_tying"),
        *("init_lora_weights", "bias", "lora_bias"),
    }
)
_WITHOUT_EFFECT = frozenset(
    {
        # how it was trained, and which modules: the tensors tell which
        *("task_type", "auto_mapping", "peft_version", "revision", "inference_mode"),
        *("lora_dropout", "target_modules", "exclude_modules", "layers_to_transform"),
        *("layers_pattern", "qalora_group_size", "megatron_core", "runtime_config"),
        # of layers that store their weights the other way round, which no network here has
        "fan_in_fan_out",
    }
)
_REPEATS = re.compile(r"[*+{]")
_NESTED = re.compile(r"\)[*+{]")
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin that train another base than the one that is named."""
_MERGE = "merge it with peft, model.merge_and_unload().save_pretrained(folder), and name that"
_TAKE_LORA = "aipc takes LoRA, rsLoRA and DoRA; " + _MERGE
_ALPHA = "take the adapter's own adapter_config.json"


@dataclass(frozen=True)
class LoraSettings:
    """The numbers of a LoRA; ``ranks`` and ``alphas`` are by the patterns of their modules."""

    path: Path
    """The file that states them."""
    base: str
    """What it was trained on, by its maker's name for it; empty where it is not said."""
    rank: int
    alpha: float
    is_rank_stabilized: bool = False
    """rsLoRA: ``alpha`` is divided by the root of the rank."""
    is_decomposed: bool = False
    """DoRA: magnitudes are learned apart."""
    ranks: Mapping[str, int] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    """``modules_to_save``: modules that were trained whole."""
    keeps_ties: bool = False
    """A head that is the embedding changes with it."""

    def rank_of(self, module: str) -> int:
        """The rank that is stated for a module, by its whole name."""
        return int(_of_pattern(self.ranks, module, self.rank))

    def scale_of(self, module: str) -> float:
        """What the product of a module's two matrices is multiplied by."""
        rank, alpha = self.rank_of(module), _of_pattern(self.alphas, module, self.alpha)
        return float(alpha) / (math.sqrt(rank) if self.is_rank_stabilized else rank)

    def is_replaced(self, module: str) -> bool:
        """Whether a module is one of `replaced`."""
        return any(module == one or module.endswith(f".{one}") for one in self.replaced)


def read_settings(folder: Path) -> LoraSettings:
    """Read the adapter_config.json of ``folder``.

    Raises:
        CheckpointError: missing, damaged, or numbers that no adapter can have.
        UnsupportedModel: another kind of adapter, or an option whose effect is not known here.
    """
    path = folder / ADAPTER
    if not path.is_file():
        raise CheckpointError(
            f"'{folder}' holds no adapter: it has no {ADAPTER}",
            "name a folder that peft's save_pretrained wrote, or a GGUF adapter",
        )
    stated = read_object(path)
    kind = stated.get("peft_type")
    if kind != "LORA":
        raise UnsupportedModel(
            f"'{folder}' is an adapter of the kind {quoted(kind)}, which can't be used here",
            _TAKE_LORA,
        )
    _refuse_unknown(folder, stated)
    base = stated.get("base_model_name_or_path")
    ranks, alphas = (_pattern(path, stated, key) for key in ("rank_pattern", "alpha_pattern"))
    return LoraSettings(
        path=path,
        base=_shown(base) if isinstance(base, str) else "",
        rank=_rank(path, "r", stated.get("r")),
        alpha=_alpha(path, "lora_alpha", stated.get("lora_alpha")),
        is_rank_stabilized=stated.get("use_rslora") is True,
        is_decomposed=stated.get("use_dora") is True,
        ranks={key: _rank(path, key, value) for key, value in ranks},
        alphas={key: _alpha(path, key, value) for key, value in alphas},
        replaced=_names(path, stated.get("modules_to_save")),
        keeps_ties=stated.get("ensure_weight_tying") is True,
    )


def _shown(name: str) -> str:
    return name if name.isprintable() and len(name) < 100 else quoted(name)


def _refuse_unknown(folder: Path, stated: Mapping[str, Any]) -> None:
    init = str(stated.get("init_lora_weights")).lower()
    if init.startswith(_CHANGED_BASE):
        raise UnsupportedModel(
            f"'{folder}' was begun with init_lora_weights = {quoted(init)}, which changes its base",
            "save it with peft's path_initial_model_for_weight_conversion, or " + _MERGE,
        )
    for key, value in stated.items():
        if value and key not in _READ | _WITHOUT_EFFECT:
            raise UnsupportedModel(
                f"'{folder}' is an adapter with {quoted(key)}, whose effect is not known here",
                f"{_MERGE}; or take it out of {ADAPTER} if it only matters in training",
            )


def _of_pattern(pattern: Mapping[str, Any], module: str, usual: Any) -> Any:
    """The value of the first key that is the end of the module's name, as peft matches them."""
    for key, value in pattern.items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return value
    return usual


def _pattern(path: Path, stated: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    value = stated.get(key) or {}
    if not isinstance(value, dict) or len(value) > MOST_RANK:
        raise misstated(path, f"its {key} is no object", _ALPHA)
    for one in value:
        if not _is_pattern(one):
            raise misstated(path, f"its {key} has {quoted(one)}, which is no pattern", _ALPHA)
    return list(value.items())


def _is_pattern(text: str) -> bool:
    """Whether it is a regular expression, and none that could take hours to match a name."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return False
    return len(text) <= 200 and len(_REPEATS.findall(text)) <= 3 and not _NESTED.search(text)


def _rank(path: Path, key: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MOST_RANK:
        raise misstated(path, f"{quoted(key)} has the rank {quoted(value)}", _ALPHA)
    return value


def _alpha(path: Path, key: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < 2**24:
        raise misstated(path, f"{quoted(key)} is {quoted(value)}, no positive number", _ALPHA)
    return float(value)


def _names(path: Path, value: Any) -> tuple[str, ...]:
    names = value or []
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise misstated(path, "its modules_to_save is no list of names", _ALPHA)
    return tuple(names)
