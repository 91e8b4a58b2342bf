"""Keyword arguments of ``from_pretrained``: what is meant, what is needless, what is refused.

Nothing is dropped without a word: an argument has a meaning here, or is one of those that
ask for what happens anyway, or raises.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from aipc import remedies
from aipc.errors import UsageError
from aipc.foreign_text import one_line
from aipc.session.loading import is_artifact

_DTYPE = (
    "how weights are stored is CompilerConfig's dtype, or OVModelForCausalLM's quantization_config"
)
_QUANTIZE = "say quantization_config={'bits': 4, 'sym': True, 'group_size': 128}"
_TOKENS = {"token", "use_auth_token"}
_INSTEAD = {
    "cache_dir": "AIPC_HOME says where models are kept",
    "device_map": "say device='npu', 'gpu.0' or 'cpu'",
    "dtype": _DTYPE,
    "file_name": "name the folder: the model in it is openvino_model.xml",
    "force_download": "`aipc rm` removes a model, and the next use fetches it again",
    "load_in_4bit": _QUANTIZE,
    "local_files_only": "HF_HUB_OFFLINE=1 keeps to what is on the disk",
    "low_cpu_mem_usage": "leave it out: weights are never held in memory as a whole",
    "subfolder": "name the folder itself",
    "torch_dtype": _DTYPE,
}


def refuse_others(others: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise for arguments that have no meaning here; ``known`` are those that do.

    Raises:
        UsageError: naming the first, and what to say instead.
    """
    known = sorted(known)
    for name in others:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        fix = (
            f"log in with {remedies.command('hub-login')}, or set HF_TOKEN"
            if name in _TOKENS
            else _INSTEAD.get(name, meant)
        )
        raise UsageError(f"from_pretrained does not take '{name}' here", fix)


def check_true(**given: bool) -> None:
    """Refuse False for what is always so here.

    Raises:
        UsageError: naming the first of them.
    """
    for name, value in given.items():
        if not value:
            raise UsageError(f"{name}=False can't be had here", "leave it out")


def check_needless(*, use_cache: bool, trust_remote_code: bool) -> None:
    """The arguments that can only ask for what happens anyway.

    Raises:
        UsageError: for a value that can't be had.
    """
    if not use_cache:
        raise UsageError(
            "use_cache=False can't be had: every runtime keeps the keys and values",
            "leave it out",
        )
    if trust_remote_code:
        notice("trust_remote_code has no effect: aipc never runs code that comes with a model")


def full_name(model_id: str | Path, revision: str | None) -> str:
    """As `aipc.load` takes it: ``org/name@revision`` where a revision is requested.

    Raises:
        UsageError: ``model_id`` is a loaded model, not the name of one.
    """
    if not isinstance(model_id, str | Path):
        raise UsageError(
            f"a model is named here, and {type(model_id).__name__} is no name",
            "give a hub id, a short name, or a checkpoint or artifact folder",
        )
    return f"{model_id}@{revision}" if revision else str(model_id)


def is_converted(name: str, *, export: bool | None) -> bool:
    """Whether ``name`` is an artifact; ``export=True`` asks that it be none.

    Raises:
        UsageError: ``export`` of an artifact.
        ModelError: a name that leads to no usable model.
    """
    converted = is_artifact(name)
    if converted and export:
        raise UsageError(f"'{name}' is converted already", "leave out export=True")
    return converted


@cache
def notice(text: str) -> None:
    """Tell the user one thing, once in the life of the process."""
    logging.getLogger("aipc").warning("%s", one_line(text))
