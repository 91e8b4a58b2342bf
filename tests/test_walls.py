"""The plan of docs/design.md, enforced: who imports whom, how deep and wide folders are, names."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter, defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import aipc

PACKAGE = Path(aipc.__file__).parent
ROOT = Path(__file__).parents[1]
FOUNDATION = {
    "child",
    "disk",
    "errors",
    "foreign_text",
    "installation",
    "options",
    "progress",
    "records",
    "remedies",
    "session_status",
    "tables",
    "telemetry",
    "timing_spans",
    "units",
}
MAY_IMPORT = {
    "artifact": set(),
    "devices": set(),
    "models": {"artifact"},
    "checkpoint": {"artifact"},
    "convert": {"artifact", "checkpoint"},
    "runtimes": {"artifact", "devices"},
    "generate": {"artifact", "checkpoint", "runtimes"},
    "choose": {"artifact", "convert", "devices", "models", "runtimes"},
    "session": {
        "artifact",
        "checkpoint",
        "choose",
        "convert",
        "devices",
        "generate",
        "models",
        "runtimes",
    },
    "measure": {
        "artifact",
        "checkpoint",
        "choose",
        "cluster",
        "convert",
        "devices",
        "generate",
        "models",
        "runtimes",
        "session",
    },
    "pool": {"artifact", "convert", "devices", "generate", "models", "runtimes", "session"},
    "wire": {"devices", "generate", "pool", "runtimes"},
    "cluster": {"devices"},
    "batch": {
        "artifact",
        "cluster",
        "convert",
        "devices",
        "generate",
        "models",
        "pool",
        "session",
        "wire",
    },
    "serve": {
        "artifact",
        "batch",
        "cluster",
        "convert",
        "devices",
        "generate",
        "models",
        "pool",
        "runtimes",
        "session",
        "wire",
    },
    "export": {"artifact", "choose", "convert", "devices", "models", "runtimes", "session"},
    "facade": {"artifact", "convert", "devices", "generate", "session"},
}
ABOVE_ALL = {"cli", "__init__", "__main__"}
VENDOR_HOME = {
    "openvino": {"runtimes", "convert", "devices", "measure"},
    "openvino_genai": {"runtimes"},
    "openvino_tokenizers": {"convert"},
    "onnx": {"convert", "measure", "runtimes"},
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
    "pyarrow": {"batch"},
    "psutil": {"devices", "pool", "serve", "session_status"},
    "pynvml": {"devices"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "pydantic": {"serve", "wire"},
    "prometheus_client": {"serve"},
    "ray": {"batch", "cluster", "serve"},
    "rich": {"cli"},
    "markdown_it": {"cli"},
    "prompt_toolkit": {"cli"},
    "click": {"cli"},
}
PEERS = PACKAGE / "measure" / "peers"
FOLDER_MODULES, LEVELS, SHARED_PREFIX = 15, 3, 3
CITED = re.compile(
    r"\b((?:benchmarks|docs|tests|examples|src)/[\w./-]+\.(?:py|md|toml|json|svg))\b"
)
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8")) for path in MODULES}


def dotted(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path): path for path in MODULES}


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def shown(path):
    return str(path.relative_to(PACKAGE))


def imported(tree):
    """Dotted names of everything that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_imported(path):
    """The package's own modules that a module imports."""
    for name in imported(TREES[path]):
        found = NAMES.get(name) or NAMES.get(name.rpartition(".")[0])
        if found is not None and found != path:
            yield found


def circle(graph):
    """A circle of ``graph`` (node → what it imports); empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_a_module_imports_only_what_lies_below_it(path):
    room = room_of(path)
    if room in ABOVE_ALL:
        return
    reached = {name.split(".")[1] for name in imported(TREES[path]) if name.startswith("aipc.")}
    assert reached <= MAY_IMPORT.get(room, set()) | FOUNDATION | {room}


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_vendor_packages_are_imported_only_at_home(path):
    for name in imported(TREES[path]):
        if path.parent == PEERS:  # a peer's own script: it should use the vendor's bare
            continue
        home = VENDOR_HOME.get(name.split(".")[0])
        assert home is None or room_of(path) in home, name


def test_no_modules_import_each_other_in_a_circle():
    graph = {path: set(modules_imported(path)) for path in MODULES}
    assert [shown(path) for path in circle(graph)] == []


def test_the_foundation_imports_itself_in_one_direction_alone():
    for path in MODULES:
        if room_of(path) in FOUNDATION:
            reached = {room_of(other) for other in modules_imported(path)} - {"__init__"}
            assert reached <= FOUNDATION, shown(path)


def test_the_tests_see_what_they_are_to_forbid():
    tree = ast.parse("def f():\n    from aipc.session.loading import load\n    import torch.nn\n")
    assert list(imported(tree)) == ["aipc.session.loading.load", "torch.nn"]
    assert circle({1: {2}, 2: {3}, 3: {1}})
    assert not circle({1: {2}, 2: {3}, 3: set()})


def test_three_levels_and_names_that_say_something():
    assert max(len(path.relative_to(PACKAGE).parts) for path in MODULES) <= LEVELS
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "misc", "common"}


def test_no_folder_holds_more_modules_than_a_reader_can_look_over():
    folders = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    del folders[PACKAGE / "cli"]  # one file a command
    assert {
        shown(folder): count for folder, count in folders.items() if count > FOLDER_MODULES
    } == {}


def test_a_prefix_that_modules_share_is_a_sub_room_that_was_not_built():
    prefixes = Counter(
        (shown(path.parent), path.stem.split("_")[0])
        for path in MODULES
        if path.name != "__init__.py"
    )
    assert [prefix for prefix, count in prefixes.items() if count >= SHARED_PREFIX] == []


def test_no_public_class_name_stands_twice():
    homes = defaultdict(list)
    for path, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(shown(path))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_every_file_of_the_repository_that_is_cited_exists():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = [name for name in listed.stdout.splitlines() if name != "CHANGELOG.md"]
    missing = {
        f"{name}: {found}"
        for name in names
        if name.endswith((".py", ".toml", ".md")) and (ROOT / name).is_file()
        for found in CITED.findall((ROOT / name).read_text("utf-8"))
        if not (ROOT / found).exists()
    }
    assert missing == set()
