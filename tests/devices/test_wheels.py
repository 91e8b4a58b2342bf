from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

import pytest

from aipc.devices import wheels
from aipc.devices.wheels import clashes, extras, install_command, installed, wheel_for

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


def test_what_belongs_together_is_no_clash() -> None:
    assert clashes(GOOD) == ()
    assert clashes({}) == ()


@pytest.mark.parametrize(
    ("found", "packages", "fix"),
    [
        (
            GOOD | {"onnxruntime-gpu": "1.31.1"},
            ("onnxruntime", "onnxruntime-gpu"),
            '`pip uninstall -y onnxruntime onnxruntime-gpu`, then `pip install "aipc[cuda]"`',
        ),
        (
            {"onnxruntime-genai": "0.18.0", "onnxruntime-genai-winml": "0.18.0"},
            ("onnxruntime-genai", "onnxruntime-genai-winml"),
            'then `pip install "aipc[winml]"`',
        ),
        (
            {"onnxruntime-genai-cuda": "0.18.0", "onnxruntime": "1.31.1"},
            ("onnxruntime-genai-cuda", "onnxruntime-gpu"),
            "`pip uninstall -y onnxruntime-genai-cuda onnxruntime`, then `pip install",
        ),
        (
            GOOD | {"openvino": "2026.3.0"},
            ("openvino-genai", "openvino"),
            "`pip install --force-reinstall aipc`",
        ),
        (
            GOOD | {"openvino-nightly": "2024.5.0"},
            ("openvino", "openvino-nightly"),
            "uninstall -y openvino openvino-nightly`, then `pip install --force-reinstall aipc`",
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


def test_what_is_in_the_way_goes_first() -> None:
    assert install_command("onnx", {}) == '`pip install "aipc[onnx]"`'
    assert install_command("cuda", GOOD) == (
        '`pip uninstall -y onnxruntime onnxruntime-genai`, then `pip install "aipc[cuda]"`'
    )
    assert install_command("webgpu", GOOD) == '`pip install "aipc[webgpu]"`'


def test_every_extra_is_whole_by_itself() -> None:
    for extra in extras():
        assert clashes(dict.fromkeys(extra.packages, "1.0")) == (), extra.name
        assert extra.source


def test_this_machines_packages() -> None:
    found = installed()
    assert found["openvino"].startswith("20")
    assert clashes() == ()


def test_files_that_another_package_took_along_are_missed(monkeypatch, tmp_path) -> None:
    class Distribution:
        files = (PurePosixPath("onnxruntime/__init__.py"),)

        def locate_file(self, file):
            return tmp_path / file

    monkeypatch.setattr(wheels, "_version", {"onnxruntime": "1.31.1"}.get)
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Distribution())
    (clash,) = clashes()
    assert clash.what.startswith("onnxruntime is listed as installed and its files are gone")
    assert 'then `pip install "aipc[onnx]"`' in clash.fix
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime/__init__.py").touch()
    assert clashes() == ()


@pytest.mark.parametrize("extra", extras(), ids=lambda extra: extra.name)
def test_the_package_installs_what_the_table_pins(extra) -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    offered = tomllib.loads(text)["project"]["optional-dependencies"][extra.name]
    assert set(extra.pins) <= {requirement.partition(";")[0].strip() for requirement in offered}
