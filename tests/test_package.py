"""What is published: built as docs/release.md says, whole, and started from the wheel."""

from __future__ import annotations

import json
import re
import site
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from installations import require_index, run, tool
from packaging.requirements import Requirement

import aipc
from aipc.cli.arguments.command_group import COMMANDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github/workflows/release.yml"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(source distribution, wheel)"""
    require_index()  # the build's backend comes from there
    folder = tmp_path_factory.mktemp("dist")
    run(tool("uv"), "build", "-q", "-o", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return sdist, wheel


def test_the_index_would_take_both(built) -> None:
    assert run(tool("twine"), "--no-color", "check", "--strict", *built).count("PASSED") == 2


def test_the_wheel_has_every_file_of_the_package_and_no_other(built) -> None:
    _, wheel = built
    package = ROOT / "src/aipc"
    ours = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == ours


def test_the_source_distribution_has_what_the_tests_need(built) -> None:
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "CHANGELOG.md", "check.py", "docs/install.md"} <= names
    assert "tests/test_package.py" in names


def test_aipc_starts_from_the_wheel_in_a_fresh_environment(built, tmp_path) -> None:
    """Its dependencies are those of this environment: installing them anew would take minutes."""
    home = tmp_path / "env"
    run(tool("uv"), "venv", "-q", "--python", sys.executable, home)
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    run(tool("uv"), "pip", "install", "-q", "--no-deps", "--python", python, built[1])
    fresh = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    others = [sysconfig.get_path("purelib"), *site.getsitepackages()]
    (fresh / "others.pth").write_text("\n".join(dict.fromkeys(others)) + "\n")
    clean = {"PYTHONPATH": "", "AIPC_HOME": str(tmp_path / "home")}
    program = python.parent / "aipc"
    assert run(program, "--version", **clean) == f"aipc {aipc.__version__}"
    assert all(name in run(program, "--help", **clean) for name in COMMANDS)
    assert "smollm2-135m" in run(program, "models", "--available", **clean)
    where = run(python, "-c", "import aipc; print(aipc.__file__)", **clean)
    assert Path(where).is_relative_to(fresh)


def test_the_workflow_runs_what_the_page_says_and_alone_may_ask_for_a_token() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    steps = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    page = (ROOT / "docs/release.md").read_text("utf-8")
    (block,) = re.findall(r"```\n(.*?)```", page, re.DOTALL)
    assert all(command.strip() in steps for command in block.strip().splitlines())
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["release"]["permissions"] == {"contents": "write"}
    assert not any("run" in step for step in jobs["publish"]["steps"])
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    installed = next(step for step in steps if "pip install uv" in step)
    assert all(pin in project for pin in installed.split()[-2:])


def test_the_workflows_take_others_steps_by_commit_and_names_their_versions() -> None:
    texts = [path.read_text("utf-8") for path in sorted(WORKFLOW.parent.iterdir())]
    used = [one for text in texts for one in re.findall(r"uses: (.*)", text)]
    assert len(texts) == 2
    assert len(used) == 8
    for one in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", one), one


def test_the_lock_is_of_this_project_and_has_a_hash_for_every_file() -> None:
    run(tool("uv"), "lock", "--check", "--offline", "--project", ROOT)
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    others = [package for package in lock["package"] if package["name"] != "aipc"]
    files = [file for one in others for file in [*one.get("wheels", []), one.get("sdist")] if file]
    assert len(others) > 100
    assert all(one["source"] == {"registry": "https://pypi.org/simple"} for one in others)
    assert all(file["hash"].startswith("sha256:") for file in files)


def test_a_release_lists_what_the_default_install_brings_along(tmp_path) -> None:
    listed = tmp_path / "aipc.cdx.json"
    steps = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]["build"]["steps"]
    (command,) = [step["run"] for step in steps if "cyclonedx" in step.get("run", "")]
    _, *arguments, _ = command.split()
    run(tool("uv"), *arguments, listed, "--offline", "--project", ROOT)
    names = {one["name"] for one in json.loads(listed.read_text("utf-8"))["components"]}
    needed = [Requirement(one) for one in project()["dependencies"]]
    here = {"python_version": "3.12", "sys_platform": "linux", "platform_machine": "x86_64"}
    assert {one.name for one in needed if not one.marker or one.marker.evaluate(here)} <= names
    assert not names & {"pytest", "torch", "ray"}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
