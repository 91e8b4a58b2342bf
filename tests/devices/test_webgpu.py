from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnx.reference
import pytest

from aipc import remedies
from aipc.devices import webgpu
from aipc.devices.webgpu import WebGPUFound, list_webgpu, read_webgpu

HALF = "Program Add requires f16 but the device does not support it."


class Plugin:
    """ONNX Runtime with a plugin's devices, each computing sums in some types of numbers."""

    OrtHardwareDeviceType = SimpleNamespace(CPU=0, GPU=1)

    def __init__(self, *computes: set[str], kind: int = 1) -> None:
        names = ("CPUExecutionProvider", *["WebGpuExecutionProvider"] * len(computes))
        self._entries = [
            SimpleNamespace(
                ep_name=name,
                computes={"float16", "float32"} if at == 0 else computes[at - 1],
                device=SimpleNamespace(vendor="AMD", device_id=at, type=kind, metadata={}),
            )
            for at, name in enumerate(names)
        ]
        self.registered: list[str] = []

    def register_execution_provider_library(self, name: str, path: str) -> None:
        self.registered.append(path)

    def get_ep_devices(self) -> list[SimpleNamespace]:
        return self._entries

    def SessionOptions(self) -> SimpleNamespace:  # noqa: N802
        options = SimpleNamespace()
        options.add_provider_for_devices = lambda entries, _: setattr(options, "entries", entries)
        options.add_session_config_entry = lambda name, value: None
        return options

    def InferenceSession(self, model: bytes, options: SimpleNamespace) -> SimpleNamespace:  # noqa: N802
        (entry,) = options.entries

        def run(outputs, inputs):
            if str(inputs["x"].dtype) not in entry.computes:
                raise RuntimeError(HALF)
            return [inputs["x"] * 2]

        return SimpleNamespace(run=run)


@pytest.fixture
def listed(monkeypatch):
    """What is read of a child process that runs this code."""

    def read(code: str) -> WebGPUFound:
        monkeypatch.setattr(webgpu, "_COMMAND", (sys.executable, "-c", code))
        read_webgpu.cache_clear()
        return read_webgpu()

    yield read
    read_webgpu.cache_clear()


def test_a_device_is_asked_whether_it_computes_in_float16() -> None:
    found = list_webgpu(Plugin({"float32", "float16"}, {"float32"}), "x.so")
    assert [one.has_half for one in found.adapters] == [True, False]
    assert [one.device_id for one in found.adapters] == [1, 2]
    assert not any(one.is_software for one in found.adapters)
    assert found.problems == ()


class Entry:
    """One of a plugin's devices, in memory that is its library's."""

    def __init__(self, plugin: Plugin, **values: object) -> None:
        self._plugin, self._values = plugin, values

    def __getattr__(self, name: str) -> object:
        assert self._plugin.registered, f"{name} was read after the library was unloaded"
        return self._values[name]


def test_what_a_plugin_lists_is_read_while_its_library_is_loaded() -> None:
    class Unloading(Plugin):
        def unregister_execution_provider_library(self, name: str) -> None:
            self.registered.clear()

        def get_ep_devices(self) -> list[Entry]:
            found = {"vendor": "AMD", "device_id": 7, "type": 1}
            device = Entry(self, **found, metadata={"Description": "a Radeon"})
            values = {"ep_name": "WebGpuExecutionProvider", "computes": {"float32"}}
            return [Entry(self, **values, device=device)]

    (one,) = list_webgpu(Unloading(), "x.so").adapters
    assert (one.vendor, one.name) == ("AMD", "a Radeon")


def test_a_device_that_computes_nothing_is_a_problem() -> None:
    found = list_webgpu(Plugin(set()), "x.so")
    assert found == WebGPUFound((), (f"WebGPU lists AMD, which can't compute: {HALF}",))


def test_a_device_on_the_cpu_is_software() -> None:
    (one,) = list_webgpu(Plugin({"float32"}, kind=0), "x.so").adapters
    assert one.is_software


def test_a_plugin_that_can_not_be_loaded_is_told(monkeypatch) -> None:
    monkeypatch.setattr(remedies, "_families", lambda: ("debian",))

    class Broken(Plugin):
        def register_execution_provider_library(self, name: str, path: str) -> None:
            raise RuntimeError("cannot open libvulkan.so.1")

    monkeypatch.setattr(sys, "platform", "linux")
    (problem,) = list_webgpu(Broken(), "x.so").problems
    assert "cannot open libvulkan.so.1; on Linux it needs a Vulkan loader: `sudo" in problem


def test_a_driver_that_crashes_takes_nothing_along(listed) -> None:
    found = listed("import os; os.abort()")
    assert found.adapters == ()
    assert found.problems[0].startswith("the process that listed WebGPU's devices ended with")


def test_the_list_comes_whole_through_the_pipe(listed) -> None:
    found = listed(
        "from dataclasses import asdict\n"
        "from aipc.child import encode, own_pipes\n"
        "from aipc.devices.webgpu import WebGPUAdapter, WebGPUFound\n"
        "_, answers = own_pipes()\n"
        "print('a driver greets')\n"
        "one = WebGPUAdapter('AMD', 1, 'a Radeon', is_software=False, has_half=True)\n"
        "answers.write(encode(asdict(WebGPUFound((one,), ('a problem',)))))"
    )
    (one,) = found.adapters
    assert (one.name, one.has_half, found.problems) == ("a Radeon", True, ("a problem",))


@pytest.mark.parametrize(("element", "kind"), [(1, np.float32), (10, np.float16)])
def test_what_is_tried_is_a_sum(element: int, kind: type) -> None:
    model = onnx.load_from_string(webgpu._sum_of(element))
    onnx.checker.check_model(model)
    made = onnx.reference.ReferenceEvaluator(model)
    (total,) = made.run(None, {"x": np.ones(4, kind)})
    assert (total.tolist(), total.dtype) == ([2, 2, 2, 2], kind)
