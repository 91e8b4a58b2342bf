from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

from aipc.devices.wheels import (
    clashes,
    has_wheels,
    install_command,
    installed,
    wheel_for,
    wheel_sets,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GOOD = {
    "onnxruntime": "1.31.1",
    "onnxruntime-genai": "0.18.0",
    "openvino": "2026.4.1",
    "openvino-genai": "2026.4.1.0",
    "openvino-tokenizers": "2026.4.1.0",
}
CPU = "`pip install onnxruntime-genai==0.18.0 onnxruntime==1.31.1`"
RELEASE = (
    "`pip install openvino-genai==2026.4.1.0 openvino-tokenizers==2026.4.1.0 openvino==2026.4.1`"
)
CUDA = '`pip install onnxruntime-genai-cuda==0.18.0 "onnxruntime-gpu[cuda,cudnn]==1.31.1"`'


def test_what_belongs_together_is_no_clash() -> None:
    assert clashes(GOOD) == ()
    assert clashes({}) == ()


@pytest.mark.parametrize(
    ("found", "packages", "fix"),
    [
        (
            GOOD | {"onnxruntime-gpu": "1.31.1"},
            ("onnxruntime", "onnxruntime-gpu"),
            "`pip uninstall -y onnxruntime onnxruntime-gpu onnxruntime-genai`, then " + CUDA,
        ),
        (
            {"onnxruntime-genai": "0.18.0", "onnxruntime-genai-winml": "0.18.0"},
            ("onnxruntime-genai", "onnxruntime-genai-winml"),
            '`pip install onnxruntime-genai-winml==0.18.0 "onnxruntime-windowsml>=1.30,<1.31"`',
        ),
        (
            {"onnxruntime-genai-cuda": "0.18.0", "onnxruntime": "1.31.1"},
            ("onnxruntime-genai-cuda", "onnxruntime-gpu"),
            "`pip uninstall -y onnxruntime onnxruntime-genai-cuda`, then " + CUDA,
        ),
        (
            GOOD | {"openvino": "2026.3.0"},
            ("openvino-genai", "openvino"),
            f"{RELEASE} brings the versions that belong together",
        ),
        (
            GOOD | {"openvino-nightly": "2024.5.0"},
            ("openvino", "openvino-nightly"),
            "uninstall -y openvino openvino-nightly`, then `pip install openvino==2026.4.1`",
        ),
    ],
)
def test_a_clash_comes_with_what_mends_it(found, packages, fix) -> None:
    clash = clashes(found)[0]
    assert clash.packages == packages
    assert fix in clash.fix
    assert str(clash) == f"{clash.what}; {clash.fix}"


def test_a_wheel_is_named_where_it_can_be_had() -> None:
    assert wheel_for("cuda", "Linux") == "cuda"
    assert wheel_for("directml", "Windows") == "directml"
    assert wheel_for("directml", "Linux") is None
    assert wheel_for("webgpu", "Darwin") == "webgpu"
    assert wheel_for("cpu", "Linux") == "onnx"
    assert wheel_for("npu", "Linux") is None


def test_a_wheel_is_not_named_where_the_processor_has_none() -> None:
    kinds = ("cpu", "cuda", "directml", "webgpu")
    told = {
        place: tuple(wheel_for(kind, *place.split()) for kind in kinds)
        for place in ("Windows AMD64", "Windows ARM64", "Linux aarch64", "Darwin x86_64")
    }
    assert told == {
        "Windows AMD64": ("onnx", "cuda", "directml", "webgpu"),
        "Windows ARM64": ("onnx", None, "winml", "webgpu"),
        "Linux aarch64": ("onnx", "cuda", None, "webgpu"),
        "Darwin x86_64": (None, None, None, None),
    }
    assert has_wheels("openvino", "Linux", "aarch64")
    assert not has_wheels("openvino", "Windows", "ARM64")


def test_openvino_is_no_dependency_where_it_has_no_wheels() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    wanted = [line for line in tomllib.loads(text)["project"]["dependencies"] if "openvino" in line]
    mark = "; sys_platform != 'win32' or platform_machine != 'ARM64'"
    assert [line.partition("==")[0] for line in wanted] == [
        "openvino",
        "openvino-genai",
        "openvino-tokenizers",
    ]
    assert all(line.endswith(mark) for line in wanted)


def test_what_is_in_the_way_goes_first() -> None:
    assert install_command("onnx", {}).endswith(CPU)
    assert install_command("cuda", {}).endswith(CUDA)
    assert install_command("cuda", GOOD).endswith(
        "`pip uninstall -y onnxruntime onnxruntime-genai`, then " + CUDA
    )
    assert install_command("webgpu", GOOD).endswith("`pip install onnxruntime-ep-webgpu==0.4.0`")


def test_what_is_whole_and_does_not_load_is_installed_anew() -> None:
    assert install_command("onnx", GOOD).endswith(
        "`pip uninstall -y onnxruntime onnxruntime-genai`, then " + CPU
    )


@pytest.mark.parametrize("one", wheel_sets()[1:], ids=lambda one: one.name)
def test_what_is_told_for_a_mixture_with_the_default_install_ends_it(one) -> None:
    mixture = GOOD | dict.fromkeys(one.packages, "1.0")
    for clash in clashes(mixture):
        removed, installed_again = re.findall(r"`pip (?:uninstall -y|install) ([^`]*)`", clash.fix)
        left = {name: mixture[name] for name in mixture if name not in removed.split()}
        added = [re.split(r"[=<>\[]", pin.strip('"'))[0] for pin in installed_again.split()]
        assert clashes(left | dict.fromkeys(added, "1.0")) == ()
        assert set(one.packages) == set(added)


def test_every_set_is_whole_by_itself() -> None:
    for one in wheel_sets():
        assert clashes(dict.fromkeys(one.packages, "1.0")) == (), one.name
        assert one.source


def test_this_machines_packages() -> None:
    for package, version in installed().items():
        assert version == metadata.version(package)
    assert installed()["openvino"].startswith("20")
    assert clashes() == ()


def test_files_that_another_package_took_along_are_missed(monkeypatch, tmp_path) -> None:
    known = tmp_path / "onnxruntime-1.31.1.dist-info"
    known.mkdir()
    (known / "RECORD").write_text("onnxruntime/LICENSE,,\nonnxruntime/__init__.py,sha256=a,1\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert installed() == {"onnxruntime": "1.31.1"}
    (clash,) = clashes()
    assert clash.what.startswith("onnxruntime is listed as installed and its files are gone")
    assert clash.fix == "`pip uninstall -y onnxruntime`, then " + CPU
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime/__init__.py").touch()
    assert clashes() == ()


def test_packages_are_found_as_python_finds_them(monkeypatch, tmp_path) -> None:
    for name in ("first/openvino_genai-2026.4.1.0", "second/OpenVINO.GenAI-1", "second/openvino-3"):
        (tmp_path / f"{name}.dist-info").mkdir(parents=True)
    places = [str(tmp_path / place) for place in ("absent", "first", "second")]
    monkeypatch.setattr("sys.path", places)
    assert installed() == {"openvino": "3", "openvino-genai": "2026.4.1.0"}


@pytest.mark.parametrize(("name", "extra"), [("onnx", None), ("webgpu", "webgpu")])
def test_the_package_installs_what_the_table_pins(name, extra) -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    offered = project["dependencies"] + project["optional-dependencies"].get(extra, [])
    (wanted,) = (one for one in wheel_sets() if one.name == name)
    assert {f"{pin}; python_version >= '3.11'" for pin in wanted.pins} <= set(offered)
