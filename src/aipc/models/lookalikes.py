"""Folders and repositories that look like a checkpoint and hold none that can be opened.

What each is, and what to do: an adapter, another library's export, a training run's state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeAlias

from aipc.artifact.files import ADAPTER
from aipc.errors import AipcError, quoted
from aipc.records import read_object

_WEIGHTS = re.compile(r"model.*\.safetensors(?:\.index\.json)?|.*\.gguf", re.IGNORECASE)
Explanation: TypeAlias = tuple[str, str]
_TEXT_MODEL = "take a text model's repository with config.json and model.safetensors"


def lookalike(label: str, names: Collection[str], folder: Path | None = None) -> Explanation:
    """(what it is, what to do), both empty for what is a checkpoint or nothing known.

    Args:
        label: what the user called it.
        names: its files and folders, without a path.
        folder: where it is, if it is here.
    """
    if any(_WEIGHTS.fullmatch(name) for name in names):
        return "", ""
    for fits, explain in _KINDS:
        found = sorted(name for name in names if fits(name))
        if found:
            what, fix = explain(found, folder)
            return f"'{label}' {what}", fix.replace("{}", label)
    return "", ""


def _adapter(found: list[str], folder: Path | None) -> Explanation:
    stated = _object(folder / found[0]) if folder else {}
    base = stated.get("base_model_name_or_path")
    if stated.get("peft_type", "LORA") != "LORA":
        kind = f"is an adapter of the kind {str(stated['peft_type'])[:40]!r}, no whole model"
        return kind, "merge it into its base with peft, model.merge_and_unload(), and name that"
    if not base:
        return "is a LoRA adapter, no whole model", "aipc run -m BASE --adapter {}, with its base"
    shown = quoted(base)[1:-1]
    return f"is an adapter for {shown}, no whole model", f"aipc run -m {shown} --adapter {{}}"


def _cached(found: list[str], folder: Path | None) -> Explanation:
    snapshots = sorted((folder / found[0]).iterdir()) if folder else []
    fix = f"name '{snapshots[-1]}'" if snapshots else "name the folder of one of its snapshots"
    return "is the hub's cache of a repository", fix


def _nested(found: list[str], folder: Path | None) -> Explanation:
    newest = max(found, key=lambda name: int(name.rpartition("-")[2]))
    fix = f"name one, such as '{folder / newest if folder else newest}'"
    return "holds the checkpoints of a training run", fix


def _is(*patterns: str) -> Callable[[str], bool]:
    whole = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda name: whole.fullmatch(name) is not None


def _said(what: str, fix: str) -> Callable[[list[str], Path | None], Explanation]:
    return lambda found, _: (what.replace("{}", found[0]), fix)


def _object(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except AipcError:
        return {}


_KINDS: tuple[
    tuple[Callable[[str], bool], Callable[[list[str], Path | None], Explanation]], ...
] = (
    (_is(re.escape(ADAPTER)), _adapter),
    (
        _is(r"adapters\.(?:safetensors|npz)"),
        _said("is an adapter of mlx-lm, no whole model", "merge it with `mlx_lm.fuse`"),
    ),
    (
        _is(r"model_index\.json"),
        _said("is a Diffusers pipeline, which makes images", f"aipc runs text: {_TEXT_MODEL}"),
    ),
    (
        _is(r"consolidated.*\.(?:safetensors|pth)"),
        _said(
            "has its weights in its maker's own format ({})",
            "take the same model in Hugging Face's: config.json and model*.safetensors",
        ),
    ),
    (
        _is(r"openvino_\w+\.xml"),
        _said(
            "is an OpenVINO export of several parts ({}), not of a text model",
            f"aipc runs text: {_TEXT_MODEL}",
        ),
    ),
    (
        _is(r"onnx", r".*\.onnx"),
        _said(
            "is an ONNX export without genai_config.json",
            "name the checkpoint that it was made from; `aipc convert --runtime onnx` exports it",
        ),
    ),
    (
        _is(r"tf_model\.h5", r"flax_model\.msgpack", r".*\.(?:npz|tflite|mlmodel|task|keras)"),
        _said("has its weights in another library's format ({})", _TEXT_MODEL),
    ),
    (
        _is(r"zero_to_fp32\.py", r"global_step\d+"),
        _said(
            "is a DeepSpeed checkpoint",
            "gather it: python zero_to_fp32.py . OUT --safe_serialization, then put config.json"
            " and the tokenizer's files into OUT",
        ),
    ),
    (_is(r"checkpoint-\d{1,9}"), _nested),
    (_is(r"snapshots"), _cached),
    (
        _is(r".*\.(?:partial|incomplete|crdownload|part|aria2)"),
        _said("was not downloaded to its end ({})", "finish the download"),
    ),
)
