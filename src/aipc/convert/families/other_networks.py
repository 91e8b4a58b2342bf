"""What a network is that has no graph here, and what to take instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aipc.errors import UnsupportedModel, quoted
from aipc.tables import read_table

_KINDS = read_table(__package__, "other_networks.toml")["kind"]
_WRITES_NO_TEXT = re.compile(
    r"\w+(?:For\w*(?:Classification|QuestionAnswering|MaskedLM|Embedding)|RewardModel)", re.ASCII
)


def unknown_network(
    path: Path, config: Mapping[str, Any], known: Iterable[str]
) -> UnsupportedModel:
    """The error for a config whose ``model_type`` is none of the ``known``."""
    networks = f"known networks: {', '.join(known)}"
    model_type = config.get("model_type")
    if model_type is None:
        return UnsupportedModel(
            f"'{path}' does not say which network it is: its config.json has no model_type",
            f"add it; {networks}",
        )
    for kind in _KINDS:
        if model_type in kind["types"]:
            what = f"{quoted(model_type)} is {kind['what']}, which has no graph here"
            return UnsupportedModel(what, f"{kind['instead']}; {networks}")
    code = " (it comes with code of its own, which is never run)" if "auto_map" in config else ""
    return UnsupportedModel(f"the network {quoted(model_type)} is not known here{code}", networks)


def refuse_other_tasks(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a known network that was made to do something else than writing.

    Raises:
        UnsupportedModel: its architecture is a classifier's or the like.
    """
    stated = config.get("architectures")
    for name in stated if isinstance(stated, list) else ():
        if isinstance(name, str) and _WRITES_NO_TEXT.fullmatch(name):
            raise UnsupportedModel(
                f"'{path}' is {quoted(name)}, which writes no text",
                "take the model that it was made of, a ...ForCausalLM",
            )
