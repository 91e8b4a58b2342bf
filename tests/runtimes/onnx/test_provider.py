from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from aipc.artifact.providers import PROVIDERS, SESSION_OPTIONS, normal_name
from aipc.devices import Device, wheels
from aipc.errors import DeviceError, UsageError
from aipc.runtimes.onnx import provider
from aipc.runtimes.onnx.provider import (
    check_installed,
    configure,
    find_device,
    find_provider,
    read_properties,
)

CPU = {"onnxruntime-genai": "0.18.0", "onnxruntime": "1.31.1"}
CUDA = {"onnxruntime-genai-cuda": "0.18.0", "onnxruntime-gpu": "1.31.1"}


@pytest.fixture
def install(monkeypatch):
    """Pretend that these packages are installed, package to version, and no others."""

    def pretend(packages, system="Linux"):
        monkeypatch.setattr(wheels, "installed", lambda: packages)
        monkeypatch.setattr("aipc.devices.onnxruntime.installed", lambda: packages)
        monkeypatch.setattr(wheels, "_lost_files", lambda: ())
        monkeypatch.setattr("platform.system", lambda: system)

    return pretend


class Config:
    """Notes what an og.Config is told."""

    def __init__(self):
        self.told = []

    def clear_providers(self):
        self.told.append("clear")

    def append_provider(self, name):
        self.told.append(name)

    def set_provider_option(self, provider, name, value):
        self.told.append((provider, name, value))


def test_each_kind_has_a_usual_provider_and_some_another():
    assert [find_provider(kind).name for kind in ("cpu", "cuda", "directml", "webgpu")] == [
        "CPU",
        "cuda",
        "DML",
        "WebGPU",
    ]
    assert find_provider("cpu", "openvino").name == "OpenVINO"
    assert find_provider("cuda", "NvTensorRtRtx").name == "NvTensorRtRtx"


def test_a_provider_or_a_kind_that_is_none_names_those_that_are():
    with pytest.raises(DeviceError, match="has no device 'npu'; use cpu, cuda, directml, webgpu"):
        find_provider("npu")
    with pytest.raises(UsageError, match="no provider 'OpenVIN' computes on cpu; did you mean"):
        find_provider("cpu", "OpenVIN")
    with pytest.raises(UsageError, match="computes on cpu; there is CPU and OpenVINO"):
        find_provider("cpu", "DML")


@pytest.mark.parametrize(
    ("given", "name"),
    [("dml", "DML"), ("CUDAExecutionProvider", "cuda"), ("webgpu", "WebGPU"), ("QNN", "QNN")],
)
def test_providers_have_one_name_whatever_a_folder_writes(given, name):
    assert normal_name(given) == name


def test_what_the_wheels_here_hold_is_accepted(install):
    install(CPU)
    check_installed(find_provider("cpu"))
    install(CUDA)
    check_installed(find_provider("cpu"))
    check_installed(find_provider("cuda"))


@pytest.mark.parametrize(
    ("packages", "kind", "system", "fix"),
    [
        ({}, "cpu", "Linux", "`pip install onnxruntime-genai==0.18.0 onnxruntime==1.31.1`"),
        ({}, "cuda", "Linux", "`pip install onnxruntime-genai-cuda==0.18.0 "),
        (
            CPU,
            "cuda",
            "Linux",
            "onnxruntime onnxruntime-genai`, then `pip install onnxruntime-genai-cuda==0.18.0 ",
        ),
        (CPU, "webgpu", "Linux", "`pip install onnxruntime-ep-webgpu==0.4.0`"),
        (CPU, "directml", "Linux", "none for this operating system"),
    ],
)
def test_a_provider_that_is_not_installed_says_what_to_install(
    packages, kind, system, fix, install
):
    install(packages, system)
    with pytest.raises(DeviceError, match=f"no installed package brings ONNX Runtime to {kind}; "):
        check_installed(find_provider(kind))
    with pytest.raises(DeviceError) as caught:
        check_installed(find_provider(kind))
    assert fix in caught.value.fix


def test_two_wheels_at_once_are_refused_for_every_provider(install):
    install(CPU | CUDA)
    for kind in ("cpu", "cuda"):
        with pytest.raises(DeviceError, match=r"onnxruntime 1\.31\.1 and onnxruntime-gpu 1\.31\.1"):
            check_installed(find_provider(kind))


def test_a_plugin_that_is_missing_is_named(install, monkeypatch):
    install(CPU)
    monkeypatch.setattr(provider, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match="`pip install onnxruntime-ep-openvino`"):
        check_installed(find_provider("cpu", "OpenVINO"))


def test_devices_are_those_that_onnx_runtime_finds(monkeypatch):
    gpus = [Device(f"CUDA.{at}", "cuda", "a GPU", runtimes=("onnx",)) for at in range(2)]
    monkeypatch.setattr(provider, "onnx_devices", lambda: (gpus, ()))
    assert find_device(find_provider("cuda"), "cuda.1").name == "CUDA.1"
    assert find_device(find_provider("cpu"), "cpu").name == "CPU"
    with pytest.raises(DeviceError, match=r"CUDA\.2"):
        find_device(find_provider("cuda"), "cuda.2")


def test_no_device_is_told_with_what_onnx_runtime_says(monkeypatch):
    monkeypatch.setattr(provider, "onnx_devices", lambda: ((), ("the driver is too old",)))
    with pytest.raises(DeviceError, match=r"^the driver is too old; `aipc doctor`"):
        find_device(find_provider("cuda"), "cuda")


def test_a_config_is_told_the_provider_its_number_and_its_options():
    config = Config()
    configure(config, find_provider("cuda"), "CUDA.1", {"use_tf32": "0"})
    assert config.told == ["clear", "cuda", ("cuda", "device_id", "1"), ("cuda", "use_tf32", "0")]
    config = Config()
    configure(config, find_provider("cpu"), "CPU", {})
    assert config.told == ["clear"]


def test_the_libraries_of_cuda_are_loaded_before_its_provider(monkeypatch):
    config = Config()
    preload = lambda directory: config.told.append(f"libraries{directory}")  # noqa: E731
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(preload_dlls=preload))
    configure(config, find_provider("cpu"), "CPU", {})
    configure(config, find_provider("cuda"), "CUDA", {})
    assert config.told == ["clear", "clear", "libraries", "cuda"]


def test_a_library_of_cuda_that_is_missing_is_told_with_what_brings_it(monkeypatch, capsys):
    def preload(directory):
        sys.stdout.write("Failed to load libcublasLt.so.13: no such file\n")
        sys.stdout.write("Please follow https://onnxruntime.ai\n")

    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(preload_dlls=preload))
    with pytest.raises(DeviceError, match=r"Failed to load libcublasLt\.so\.13: no such") as caught:
        configure(Config(), find_provider("cuda"), "CUDA", {})
    assert "onnxruntime-gpu[cuda,cudnn]==" in caught.value.fix
    assert capsys.readouterr().out == ""


def test_a_plugin_is_registered_once_for_all_models_of_a_process(monkeypatch):
    plugin = ModuleType("onnxruntime_ep_stand_in")
    plugin.get_ep_name, plugin.get_library_path = (lambda: "StandIn"), (lambda: "x.so")
    genai, registered = ModuleType("onnxruntime_genai"), []
    genai.register_execution_provider_library = lambda *library: registered.append(library)
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    monkeypatch.setitem(sys.modules, genai.__name__, genai)
    for _ in range(2):
        configure(Config(), replace(find_provider("webgpu"), plugin=plugin.__name__), "WEBGPU", {})
    assert registered == [("StandIn", "x.so")]


def test_a_number_is_refused_where_it_would_be_dropped():
    with pytest.raises(DeviceError, match="WebGPU can't choose among devices; ask for webgpu"):
        configure(Config(), replace(find_provider("webgpu"), plugin=""), "WEBGPU.1", {})


def test_every_provider_states_where_its_entry_stands():
    assert all(provider.source and provider.piece > 0 for provider in PROVIDERS)


def test_mixtures_have_pieces_of_their_own_where_they_are_stated():
    cpu, cuda = find_provider("cpu"), find_provider("cuda")
    assert (cpu.piece, cpu.for_mixtures.piece) == (64, 128)
    assert cuda.for_mixtures.piece == cuda.piece


def test_properties_are_sorted_and_typed():
    settings = read_properties(
        {
            "provider": "cuda",
            "intra_op_num_threads": "4",
            "enable_mem_pattern": "false",
            "session.set_denormal_as_zero": "true",
            "use_tf32": "0",
            "gpu_mem_limit": "1000",
        },
        find_provider("cuda"),
    )
    assert json.loads(settings.overlay())["model"]["decoder"]["session_options"] == {
        "intra_op_num_threads": 4,
        "enable_mem_pattern": False,
        "session.set_denormal_as_zero": "1",
    }
    assert settings.provider == {"use_tf32": "0", "gpu_mem_limit": "1000"}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"intra_op_num_thread": "4"}, "CPU has no property intra_op_num_thread; did you mean"),
        ({"use_tf32": "1"}, "CPU has no property use_tf32"),
        ({"custom_ops_library": "x.so"}, "no property custom_ops_library"),
        ({"intra_op_num_threads": "many"}, "takes a whole number, not 'many'"),
        ({"enable_mem_pattern": "yes"}, "enable_mem_pattern takes 0 or 1, not 'yes'"),
    ],
)
def test_what_can_not_be_meant_is_refused(properties, message):
    with pytest.raises(UsageError, match=message):
        read_properties(properties, find_provider("cpu"))


def test_no_declared_property_names_a_file_or_a_library():
    from aipc.runtimes.onnx.folder import _OTHER_FILE

    names = [*SESSION_OPTIONS, *(name for provider in PROVIDERS for name in provider.options)]
    assert [name for name in names if _OTHER_FILE.search(name)] == []
