"""ONNX Runtime's execution providers: which is meant, and whether this installation has it."""

from __future__ import annotations

import difflib
import importlib
import io
import json
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from aipc import remedies
from aipc.artifact.providers import PROVIDERS, SESSION_OPTIONS, Provider
from aipc.devices import Device, kind_of, resolve_device
from aipc.devices.onnxruntime import onnx_devices, onnx_kinds
from aipc.devices.system.cpu import read_cpu
from aipc.devices.wheels import clashes, install_command, wheel_for
from aipc.errors import DeviceError, UsageError
from aipc.runtimes import prompt_lookup as lookup

KINDS = frozenset(provider.kind for provider in PROVIDERS)

PROVIDER = "provider"
"""The property that asks for another provider than the device's usual one."""
THREADS = "intra_op_num_threads"
LOG, FATAL = "log_severity_level", 4  # errors are raised, and need no second way to the user
_MEANT = {"int": "a whole number", "bool": "0 or 1", "flag": "0 or 1"}


def find_provider(kind: str, name: str | None = None) -> Provider:
    """The provider for devices of ``kind``; ``name`` asks for another than the usual one.

    Raises:
        DeviceError: a kind that no provider computes on.
        UsageError: a provider that there isn't, for this kind of device.
    """
    able = [provider for provider in PROVIDERS if provider.kind == kind]
    if not able:
        raise DeviceError(
            f"the runtime 'onnx' has no device '{kind}'", f"use {', '.join(sorted(KINDS))}"
        )
    if name is None:
        return able[0]
    for provider in able:
        if provider.name.lower() == name.lower():
            return provider
    known = [provider.name for provider in able]
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean {near[0]}?" if near else f"there is {' and '.join(known)}"
    raise UsageError(f"no provider '{name}' computes on {kind}", fix)


def check_installed(provider: Provider) -> None:
    """Refuse where the installed packages can't be what `provider` needs.

    Raises:
        DeviceError: with the commands that mend it.
    """
    for clash in clashes():
        if any(package.startswith("onnxruntime") for package in clash.packages):
            raise DeviceError(clash.what, clash.fix)
    if provider.kind not in onnx_kinds():
        raise DeviceError(
            f"no installed package brings ONNX Runtime to {provider.kind}", _install(provider.kind)
        )
    if provider.plugin and find_spec(provider.plugin) is None:
        package = provider.plugin.replace("_", "-")
        raise DeviceError(f"the provider {provider.name} is not installed", remedies.add([package]))


def find_device(provider: Provider, requested: str) -> Device:
    """The device that ``requested`` names, "CPU" or "CUDA.1", among those that ONNX Runtime finds.

    Raises:
        DeviceError: it finds no such device; says why, or which there are.
    """
    if provider.kind == "cpu":
        return Device("CPU", "cpu", "CPU")
    found, problems = onnx_devices()
    devices = {device.name: device for device in found if device.kind == provider.kind}
    if not devices:
        why = problems[0] if problems else f"ONNX Runtime finds no {provider.kind} device"
        raise DeviceError(why, "`aipc doctor` looks into it; `--device cpu` runs without it")
    return devices[resolve_device(requested, list(devices))]


def configure(config: Any, provider: Provider, device: str, options: Mapping[str, str]) -> None:
    """Make ``config``, an ``og.Config``, use this provider and no other."""
    config.clear_providers()
    if provider.name == "CPU":
        return
    if provider.kind == "cuda":
        load_cuda()
    if provider.plugin:
        _register(provider.plugin)
    config.append_provider(provider.name)
    number = device.partition(".")[2]
    if number and not provider.number:
        raise DeviceError(
            f"the provider {provider.name} can't choose among devices",
            f"ask for {kind_of(device)} without a number",
        )
    numbered = {provider.number: number} if number else {}
    for name, value in (numbered | dict(options)).items():
        config.set_provider_option(provider.name, name, value)


def load_cuda() -> None:
    """CUDA's libraries out of NVIDIA's wheels, where the system's loader does not look for them.

    Without it ONNX Runtime can't load its provider.  Source: onnxruntime.ai, CUDA execution
    provider, "Preload DLLs"; what it could not load, the function prints.
    """
    import onnxruntime

    with redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls(directory="")
    failures = [line for line in printed.getvalue().splitlines() if line.startswith("Failed")]
    if failures:
        raise DeviceError(f"CUDA's libraries are not whole ({failures[0]})", _install("cuda"))


def _install(kind: str) -> str:
    wheels = wheel_for(kind)
    if wheels is None:
        return "there is none for this operating system: choose another device"
    return install_command(wheels)


@cache
def _register(plugin_module: str) -> None:
    """Once a process: a second time is refused and breaks what the first one loaded.

    Measured with onnxruntime-genai 0.18 and onnxruntime-ep-webgpu 0.4.0: the next model that is
    loaded ends the process.
    """
    import onnxruntime_genai

    plugin = importlib.import_module(plugin_module)
    try:
        onnxruntime_genai.register_execution_provider_library(
            plugin.get_ep_name(), plugin.get_library_path()
        )
    except RuntimeError as error:
        if "already registered" not in str(error):
            raise


@dataclass(frozen=True)
class Settings:
    session: Mapping[str, Any]
    """As genai_config.json's session_options."""
    provider: Mapping[str, str]

    def overlay(self) -> str:
        """The JSON that lays the session's options over a genai_config.json."""
        return json.dumps({"model": {"decoder": {"session_options": dict(self.session)}}})


def session_options(stated: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """A folder's own, then what is right for any, then the user's."""
    ours = {THREADS: stated.get(THREADS) or _threads(), LOG: FATAL}
    return {**stated, **ours, **settings.session}


def _threads() -> int:
    """Every core: GenAI takes half of the hardware threads, too few where cores have but one."""
    cpu = read_cpu()
    return min(cpu.physical_cores or cpu.usable_threads, cpu.usable_threads)


def read_properties(properties: Mapping[str, str], provider: Provider) -> Settings:
    """Sort properties into the session's and the provider's.

    Raises:
        UsageError: an unknown name, naming the nearest known one, or a value of another kind.
    """
    session: dict[str, Any] = {}
    own: dict[str, str] = {}
    for name, value in properties.items():
        if name in SESSION_OPTIONS:
            session[name] = _read(name, value, SESSION_OPTIONS[name])
        elif name in provider.options:
            own[name] = written(_read(name, value, provider.options[name]))
        elif name != PROVIDER and name not in lookup.PROPERTIES:
            raise _unknown(name, provider)
    return Settings(session, own)


def _unknown(name: str, provider: Provider) -> UsageError:
    known = [*SESSION_OPTIONS, *provider.options, PROVIDER, *sorted(lookup.PROPERTIES)]
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return UsageError(f"{provider.name} has no property {name}", fix)


def _flag(value: str) -> str:
    """ONNX Runtime's session entries are texts, "0" and "1"."""
    return written(_boolean(value))


def _boolean(value: str) -> bool:
    return {"1": True, "true": True, "0": False, "false": False}[value.lower()]


_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "str": str,
    "bool": _boolean,
    "flag": _flag,
}


def _read(name: str, value: str, kind: str) -> Any:
    try:
        return _READERS[kind](value)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{name} takes {_MEANT[kind]}, not '{value}'") from error


def written(value: Any) -> str:
    """As ONNX Runtime's entries have it: a truth is "0" or "1"."""
    return str(int(value)) if isinstance(value, bool) else str(value)
