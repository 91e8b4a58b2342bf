"""Imports go downhill: the table of docs/design.md, enforced."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import aipc

PACKAGE = Path(aipc.__file__).parent
FOUNDATION = {"errors", "options", "progress", "running", "stages", "tables", "vendors"}
MAY_IMPORT = {
    "errors": set(),
    "options": set(),
    "progress": set(),
    "running": set(),
    "stages": set(),
    "tables": set(),
    "vendors": set(),
    "devices": set(),
    "models": set(),
    "checkpoint": set(),
    "convert": {"checkpoint"},
    "runtimes": {"devices"},
    "generate": {"runtimes", "checkpoint"},
    "choose": {"convert", "devices", "models", "runtimes"},
    "conversion": {"checkpoint", "convert", "models", "runtimes"},
    "observed": {"devices", "runtimes"},
    "placement": {"choose", "convert", "devices", "models", "runtimes"},
    "preparation": {"choose", "conversion", "convert", "devices", "models", "placement"},
    "session": {
        "checkpoint",
        "choose",
        "conversion",
        "convert",
        "devices",
        "generate",
        "models",
        "observed",
        "placement",
        "preparation",
        "runtimes",
    },
    "embedding": {"conversion", "models", "runtimes"},
    "facade": {"convert", "devices", "generate", "session"},
    "measure": {
        "checkpoint",
        "choose",
        "conversion",
        "convert",
        "devices",
        "generate",
        "models",
        "placement",
        "preparation",
        "runtimes",
        "session",
    },
    "serve": {"devices", "embedding", "generate", "models", "runtimes", "session"},
}
ABOVE_ALL = {"cli", "__init__", "__main__"}
VENDOR_HOME = {
    "openvino": {"runtimes", "convert", "devices", "measure"},
    "openvino_genai": {"runtimes"},
    "openvino_tokenizers": {"convert"},
    "onnx": {"convert", "measure"},
    "onnxruntime": {"runtimes", "devices"},
    "onnxruntime_genai": {"runtimes"},
    "transformers": {"convert", "facade"},
    "huggingface_hub": {"models"},
    "gguf": {"checkpoint"},
    "tokenizers": {"checkpoint", "convert", "generate"},
    "jinja2": {"generate", "measure"},
    "torch": {"facade", "measure"},
    "lm_eval": {"measure"},
    "matplotlib": {"measure"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "pydantic": {"serve"},
    "prometheus_client": {"serve"},
    "httpx2": {"serve", "models"},
    "rich": {"cli"},
    "click": {"cli"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """Dotted names of every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_below_it(path):
    room = room_of(path)
    if room in ABOVE_ALL:
        return
    reached = {name.split(".")[1] for name in imported(path) if name.startswith("aipc.")}
    assert reached <= MAY_IMPORT[room] | FOUNDATION | {room}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_vendor_packages_are_imported_only_at_home(path):
    for name in imported(path):
        if path.stem.startswith("peer_"):  # a peer's own script: it shall use the vendor's bare
            continue
        home = VENDOR_HOME.get(name.split(".")[0])
        assert home is None or room_of(path) in home, name


def test_the_test_sees_what_it_is_to_forbid(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from aipc.session.session import load\n    import torch.nn\n")
    assert list(imported(module)) == ["aipc.session.session.load", "torch.nn"]


def test_two_folder_levels_and_names_that_say_something():
    depths = {len(path.relative_to(PACKAGE).parts) for path in MODULES}
    assert depths <= {1, 2}
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "misc", "common"}
