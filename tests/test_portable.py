"""What would go wrong on another system than the one that runs the tests, found in the sources."""

from __future__ import annotations

import ast
import runpy
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src/aipc"
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
PLATFORMS = {"linux", "win32", "darwin"}


@cache
def all_calls():
    """Name of a function or method → (place, call) of the whole package."""
    found = defaultdict(list)
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
                found[name].append((f"{path.relative_to(PACKAGE)}:{node.lineno}", node))
    return found


def calls(*names):
    """(place, call, name of the function or method)."""
    return [(place, call, name) for name in names for place, call in all_calls()[name]]


def given(call):
    return {word.arg for word in call.keywords}


def mode_of(call, name):
    """Of `open`: its mode, if that is written there; None for what opens no file by a mode."""
    at = 1 if name == "open" and isinstance(call.func, ast.Name) else 0
    words = [word.value for word in call.keywords if word.arg == "mode"]
    node = (words or call.args[at : at + 1] or [None])[0]
    if node is None:
        return "r"
    value = getattr(node, "value", None)
    is_mode = isinstance(value, str) and value != "" and set(value) <= set("rwxabt+")
    return value if is_mode else None


def is_text(call, name):
    """Of what opens a file of the system by `open`, not of an archive or a runtime."""
    mode = mode_of(call, name)
    return mode is not None and "b" not in mode and (bool(call.args) or bool(call.keywords))


def test_every_text_is_read_and_written_in_a_stated_encoding():
    """Windows' own is cp1252 or cp932, by its language."""
    texts = ("read_text", "write_text")
    own = ("read_text(file", "read_text(path", "read_text(root", "read_text(folder", "self.write_t")
    for place, call, name in calls("open", *texts):
        written = ast.unparse(call)
        if name in texts:
            at = 0 if name == "read_text" else 1
            stated = "encoding" in given(call) or len(call.args) > at
            assert stated or written.startswith(own), place
        elif is_text(call, name):
            assert "encoding" in given(call), place


def test_every_text_file_is_written_with_the_line_ends_of_all_systems():
    """A file has one SHA-256, and a line of JSON ends alike, wherever it was written."""
    for place, call, name in calls("open", "write_text"):
        mode = mode_of(call, name) if name == "open" else "w"
        is_own = ast.unparse(call).startswith("self.write_text")
        if mode and set(mode) & set("wxa+") and "b" not in mode and not is_own:
            assert "newline" in given(call), place


def test_what_a_child_writes_is_decoded_without_failing():
    for place, call, _ in calls("run", "Popen", "check_output"):
        if given(call) & {"text", "universal_newlines"}:
            assert given(call) & {"encoding", "errors"}, place


def test_files_are_moved_by_the_one_function_that_waits_for_their_readers():
    """`Path.replace` and `Path.rename` have one argument; `str.replace` has two."""
    moves = [
        place
        for place, call, name in calls("replace", "rename", "move")
        if isinstance(call.func, ast.Attribute)
        and len(call.args) == 1
        and not call.keywords
        and not ast.unparse(call.func).startswith("disk.")
    ]
    moves += [place for place, call, _ in calls("replace", "rename") if "os." in ast.unparse(call)]
    assert {place.partition(":")[0] for place in moves} == {"disk.py"}


def is_attribute(node, module, name):
    return isinstance(node, ast.Attribute) and node.attr == name and is_name(node.value, module)


def is_name(node, name):
    return isinstance(node, ast.Name) and node.id == name


@cache
def platforms_compared():
    """Place of every `sys.platform` → what it is compared with by == or !=."""
    found = {}
    for path, tree in TREES.items():
        nodes = list(ast.walk(tree))
        compared = {
            node.left: getattr(node.comparators[0], "value", None)
            for node in nodes
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq))
        }
        for node in nodes:
            if is_attribute(node, "sys", "platform"):
                found[f"{path.relative_to(PACKAGE)}:{node.lineno}"] = compared.get(node)
    return found


def test_a_system_is_told_in_the_way_that_mypy_understands():
    """Else it takes a branch for every system's, and sees no mistake in it."""
    found = platforms_compared()
    assert len(found) > 25
    assert {place: value for place, value in found.items() if value not in PLATFORMS} == {}
    for path, tree in TREES.items():
        assert not any(is_attribute(node, "os", "name") for node in ast.walk(tree)), path


def test_the_types_are_checked_for_every_system_that_a_branch_is_for():
    check = Path(__file__).parents[1] / "check.py"
    commands = [command for _, *command in runpy.run_path(str(check))["CHECKS"]]
    mypy = [command for command in commands if command[0] == "mypy"]
    checked = {command[command.index("--platform") + 1] for command in mypy}
    assert checked == PLATFORMS >= set(platforms_compared().values())


def test_no_file_of_the_package_has_a_name_that_another_system_refuses():
    from aipc.disk import is_portable

    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file()]
    assert all(is_portable(part) for path in files for part in path.parts)
    assert len({str(path).casefold() for path in files}) == len(files)
    assert max(len(str(path)) for path in files) < 100  # below a user's site-packages


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.toml")), ids=str)
def test_data_files_are_utf8(path):
    assert path.read_bytes().decode("utf-8")
