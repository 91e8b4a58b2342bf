"""What people are told to run is run here, in environments made as people make them."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from installations import TINY, install, require_index, run, small_source

import aipc
from aipc import remedies
from aipc.cli.arguments.command_group import COMMANDS, Invocation, commands
from aipc.installation import (
    EDITABLE,
    FILE,
    INDEX,
    PIP,
    PIPX,
    URL,
    UV,
    UV_TOOL,
    Installation,
    Origin,
    extras,
    requirements,
)

TOOLS = ("pip", "uv", "uv-tool", "pipx")
WAYS = [f"{one} wheel" for one in TOOLS]
MORE_WAYS = [f"{one} {kind}" for one in TOOLS for kind in ("folder", "editable")]
TELL = "from aipc import remedies; print({})"
GIT = "git+https://example.org/aipc@main"
HAS = f"from importlib import metadata; print(metadata.version('{TINY}'))"
VERSION = "import aipc; print(aipc.__version__)"
MODULES = sorted(Path(aipc.__file__).parent.rglob("*.py"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    require_index()
    return small_source(tmp_path_factory.mktemp("source"))


@pytest.mark.skipif(sys.platform == "win32", reason="commands are run by bash")
@pytest.mark.parametrize(
    "way", [*WAYS, *(pytest.param(way, marks=pytest.mark.long) for way in MORE_WAYS)]
)
def test_what_is_told_works_however_aipc_was_installed(way, source, tmp_path) -> None:
    here = install(way, source, tmp_path)
    here.follow(here.run(TELL.format("remedies.add_extra('parquet')")))
    assert int(here.run(HAS).split(".")[0]) >= 2
    here.follow(here.run(TELL.format(f"remedies.replace(['{TINY}'], ['{TINY}==2.0.0'])")))
    assert here.run(HAS) == "2.0.0"
    here.follow(here.run(TELL.format(f"remedies.put(['--upgrade', '{TINY}'])")))
    assert here.run(HAS) != "2.0.0"
    here.follow(here.run(TELL.format("remedies.reinstall_own('click')")))
    told = here.run(TELL.format("*[f'`{one}`' for one in remedies.upgrade()]"))
    newer = source.wheel("0.1.1") if "NEW_WHEEL" in told else source.set_version("0.1.1")
    here.follow(told, NEW_WHEEL=newer)
    assert here.run(VERSION) == "0.1.1"
    assert here.run(HAS) != "2.0.0"  # what was added for good outlives an upgrade
    run(here.python, "-m", "aipc", "--version", **here.environment)


def plain(tool=PIP, **fields):
    values = {"python": "/env/bin/python", "prefix": Path("/env"), "origin": Origin(INDEX)}
    return Installation(tool, **values | fields)


@pytest.fixture
def found(monkeypatch):
    """Which programs a shell would find; none but those asked for."""

    def names(*programs):
        known = {name: f"/usr/bin/{name}" for name in programs}
        monkeypatch.setattr(remedies.shutil, "which", lambda name, path=None: known.get(name))

    return names


@pytest.mark.parametrize(
    ("here", "programs", "told"),
    [
        (plain(), (), "`/env/bin/python -m pip install onnx`"),
        (plain(python="/usr/bin/python"), ("pip",), "`pip install onnx`"),
        (plain(python="/my env/python"), (), '`"/my env/python" -m pip install onnx`'),
        (plain(UV), ("uv",), "`uv pip install --python /env/bin/python onnx`"),
        (plain(UV), (), "`/env/bin/python -m pip install onnx`"),
        (plain(has_pip=False), ("uv",), "`uv pip install --python /env/bin/python onnx`"),
        (
            plain(has_pip=False),
            (),
            "`/env/bin/python -m ensurepip`, then `/env/bin/python -m pip install onnx`",
        ),
        (plain(PIPX, prefix=Path("/x/aipc")), ("pipx",), "`pipx inject aipc onnx`"),
        (plain(PIPX), (), "`/env/bin/python -m pip install onnx`"),
        (
            plain(is_managed=True, is_users=True),
            (),
            "`/env/bin/python -m pip install --break-system-packages --user onnx`",
        ),
    ],
)
def test_the_tool_that_can_do_it_is_named(here, programs, told, found, monkeypatch) -> None:
    monkeypatch.setattr(remedies, "this_installation", lambda: here)
    found(*programs)
    assert remedies.add(["onnx"]) == told


def test_uv_is_told_all_that_it_was_told_before(found, tmp_path) -> None:
    (tmp_path / "aipc").mkdir()
    (tmp_path / "aipc/uv-receipt.toml").write_text(
        """[tool]
        requirements = [
            { name = "aipc", extras = ["report"], path = "/my wheels/aipc-0.1.0-py3-none-any.whl" },
            { name = "rich", specifier = ">=13" },
            { name = "mine", editable = "/src/mine" },
            { name = "theirs", git = "https://example.org/theirs?rev=v1" },
        ]
        python = "3.12"
        [tool.options]
        index-url = "https://pypi.example/simple"
        extra-index-url = ["https://a.example", "https://b.example"]
        """
    )
    found("uv")
    here = plain(UV_TOOL, prefix=tmp_path / "aipc", origin=Origin(FILE, "/my wheels/x.whl"))
    kept = (
        "--python 3.12 --index-url https://pypi.example/simple "
        "--extra-index-url https://a.example --extra-index-url https://b.example {} "
        '--with "rich>=13" --with-editable /src/mine '
        '--with "theirs @ git+https://example.org/theirs@v1"'
    )
    old = kept.format('"/my wheels/aipc-0.1.0-py3-none-any.whl[report]"')
    assert remedies.add(["ray==2"], here) == f"`uv tool install {old} --with ray==2`"
    assert remedies.upgrade(here) == (f"uv tool install {kept.format('NEW_WHEEL')}",)


@pytest.mark.parametrize(
    ("here", "told"),
    [
        (plain(), ("/env/bin/python -m pip install --upgrade aipc",)),
        (
            plain(origin=Origin(EDITABLE, "/gone")),
            ("/env/bin/python -m pip install -e /gone",),
        ),
        (plain(PIPX, prefix=Path("/x/aipc")), ("pipx upgrade aipc",)),
        (plain(UV_TOOL, prefix=Path("/x/aipc")), ("uv tool upgrade aipc",)),
        (
            plain(UV, origin=Origin(URL, GIT)),
            (f"uv pip install --python /env/bin/python --reinstall-package aipc {GIT}",),
        ),
    ],
)
def test_an_upgrade_comes_from_where_aipc_came_from(here, told, found) -> None:
    found("uv", "pipx")
    assert remedies.upgrade(here) == told


def test_a_checkout_of_git_is_pulled_first(found, tmp_path) -> None:
    (tmp_path / ".git").mkdir()
    found()
    pull, _ = remedies.upgrade(plain(origin=Origin(EDITABLE, str(tmp_path))))
    assert pull == f"git -C {tmp_path} pull"


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("ray[data]", '"ray[data]"'),
        ("pyarrow>=18", '"pyarrow>=18"'),
        ("a==1", "a==1"),
        ("$HOME !", "'$HOME !'"),
        ("", '""'),
    ],
)
def test_arguments_are_quoted_so_that_any_shell_takes_them(argument, quoted) -> None:
    assert remedies.quote(argument) == quoted
    if argument != "":
        assert run("sh", "-c", f"printf %s {quoted}") == argument


@pytest.mark.parametrize("name", remedies._table()["command"])
def test_every_command_is_one_line_or_none_for_this_system(name) -> None:
    assert "\n" not in remedies.command(name)
    assert "{" not in remedies.command(name)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("hub-login", "--help"),
        ("hub-download", "--help"),
        ("bring-pip", "--version"),
        ("show-index", ""),
        ("lfs", "--help"),
    ],
)
def test_a_command_that_changes_nothing_of_the_system_is_there(name, check) -> None:
    if name == "lfs" and not shutil.which("git-lfs"):
        pytest.skip("git-lfs is not installed")
    told = remedies.command(name).strip("`")
    subprocess.run(["sh", "-c", f"{told} {check}"], check=True, capture_output=True)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="for Debian and its kin")
def test_debians_packages_for_vulkan_exist() -> None:
    wanted = remedies._table()["command"]["vulkan"]["debian"].removeprefix("sudo apt install ")
    known = run("apt-cache", "search", "--names-only", "^libvulkan1$")
    if not known:
        pytest.skip("the lists of packages were not fetched")
    run("apt-get", "install", "--simulate", *wanted.split())


def texts_of_the_code():
    """Every text that is no docstring, with the file that has it; f-strings have {} for values."""
    for path in MODULES:
        tree = ast.parse(path.read_text("utf-8"))
        prose = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        inside = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in node.values
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "{}" for p in node.values]
                yield path.name, "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and id(node) not in prose | inside:
                yield path.name, str(node.value)


TEXTS = list(texts_of_the_code())
OTHERS = ("pip", "pipx", "uv", "sudo", "apt", "dnf", "conda", "brew", "winget", "hf", "git", "npm")
ELSEWHERE = {"git lfs pull"}
"""Told by `errors`, on which the table depends."""


def test_no_text_of_the_code_names_a_command_that_is_not_in_the_table() -> None:
    programs = "|".join(OTHERS)
    quoted = rf"[`'](({programs}) [^`']+)[`']"
    bare = r"\b((?:pip3?|pipx|uv pip|uv tool|apt|dnf) install[^`'\"]*)"
    found = {
        (name, match)
        for name, text in TEXTS
        for pattern in (quoted, bare)
        for match in (one.group(1) for one in re.finditer(pattern, text))
    }
    assert {match for _, match in found} == ELSEWHERE, found
    assert remedies.command("lfs").strip("`") in ELSEWHERE


def aipc_commands():
    bare = rf"aipc ((?:{'|'.join(COMMANDS)})(?: --?[a-z][-a-z]*| [A-Z]+\b)*)"
    for name, text in TEXTS:
        for command in re.findall(rf"`aipc ([a-z][^`]*)`|'aipc ([a-z][^']*)'|{bare}", text):
            yield name, "".join(command)


@pytest.mark.parametrize(("where", "command"), sorted(set(aipc_commands())))
def test_every_command_of_aipcs_own_that_a_text_names_exists(where, command) -> None:
    name, *words = command.replace("{}", " ").split()
    assert name in COMMANDS, f"{where}: `aipc {command}`"
    known = commands.get_command(click.Context(commands, obj=Invocation()), name)
    if isinstance(known, click.Group) and words and words[0].isalpha() and words[0].islower():
        known = known.commands[words.pop(0)]
    flags = {flag for option in known.params for flag in (*option.opts, *option.secondary_opts)}
    assert {word.rstrip(",.") for word in words if word.startswith("-")} <= flags | {"--help"}


def test_every_extra_and_package_that_the_code_tells_of_is_one_of_aipcs() -> None:
    asked = {"add_extra": set(), "put_own": set(), "reinstall_own": set(), "command": set()}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in asked
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "remedies"
            ):
                asked[node.func.attr] |= {
                    arg.value for arg in node.args if isinstance(arg, ast.Constant)
                }
    assert asked["add_extra"] == {"export", "parquet", "ray", "report", "transformers"}
    assert asked["add_extra"] <= set(extras())
    assert asked["command"] <= set(remedies._table()["command"])
    needed = {re.split(r"[<>=\[]", one)[0] for one in requirements()}
    assert asked["put_own"] | asked["reinstall_own"] <= needed


def test_an_extra_brings_what_the_package_says_and_nothing_twice() -> None:
    assert requirements("parquet") == ("pyarrow>=18",)
    wanted = requirements("eval")
    assert len({re.split(r"[<>=\[]", one)[0] for one in wanted}) == len(wanted) == 3
    assert not set(requirements("webgpu")) & set(requirements())
    with pytest.raises(aipc.errors.UsageError, match=r"no extra 'nonsense'; there is dev, "):
        requirements("nonsense")
