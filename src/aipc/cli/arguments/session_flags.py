"""The flags of every command with a session, and the session by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aipc.cli.arguments.command import section
from aipc.cli.arguments.exclusions import check_device, check_sampling
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.screen.output import notice
from aipc.cli.screen.progress_bar import Display, display
from aipc.convert.recipe import Recipe
from aipc.devices.device import NAMES, plain_name
from aipc.errors import UsageError
from aipc.options import describe
from aipc.progress import Notify, Progress
from aipc.runtimes.blob_cache import READY
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.runtimes.sampling import Sampling

if TYPE_CHECKING:
    from aipc.session.place import SessionOptions
    from aipc.session.prepare import PreparedModel
    from aipc.session.session import Session


F = TypeVar("F", bound=Callable[..., Any])

_DEVICES = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"


def session_flags(command: F) -> F:
    """Recipe, device and sampling."""
    return section("Sampling", flags_of(Sampling))(loading_flags(command))


def loading_flags(command: F) -> F:
    """Device, runtime and recipe."""
    return device_flags(recipe_flags(command))


recipe_flags = section("Weights, where the model is converted", flags_of(Recipe))


def device_flags(command: F) -> F:
    """Device, runtime, and the properties of both."""
    return section("Device", *_device_options())(section("NPU", *_npu_options())(command))


def reader_flags(command: F) -> F:
    """Device and runtime of a model that writes no text."""
    device = click.option(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto (the CPU), cpu, gpu, gpu.N, cuda, directml or webgpu.",
    )
    _, runtime, *_ = _device_options()
    return section("Device", device, runtime)(command)


def _device_options() -> Sequence[Callable[[F], F]]:
    return (
        click.option("--device", default="auto", metavar="NAME", help=f"One of {_DEVICES}."),
        click.option(
            "--runtime",
            default="auto",
            metavar="NAME",
            help="Who computes: auto, openvino or onnx.",
        ),
        _properties_flag("--ov-config", "OpenVINO's"),
        _properties_flag("--onnx-config", "ONNX Runtime's"),
        click.option(
            "--canary/--no-canary",
            default=True,
            help="Have the CPU judge a model's first tokens on an accelerator.",
        ),
        click.option(
            "--watch/--no-watch",
            default=True,
            help="While nobody asks, have the CPU judge some of an accelerator's answers.",
        ),
        click.option(
            "--probe/--no-probe",
            default=True,
            help="Where nothing was tuned, measure what is fastest here; seconds, once a model.",
        ),
    )


def _npu_options() -> Sequence[Callable[[F], F]]:
    return (
        click.option(
            "--emulate", is_flag=True, help="With --device npu: its pipeline on the CPU; slow."
        ),
        click.option(
            "--overflow",
            metavar="NAME",
            help="Where prompts too long for the NPU go: cpu or gpu. Without it they are refused.",
        ),
        flags_of(NpuOptions),
    )


def open_session(flags: Mapping[str, Any], shown: Display | None = None) -> Session:
    """Load what the flags name, with progress on stderr, or on the display that is shown already.

    Raises:
        AipcError: whatever `aipc.session.loading.load` raises.
    """
    options = device_options(flags)
    recipe = given(Recipe, flags)
    from aipc.session import loading

    with display() if shown is None else nullcontext(shown) as progress:
        return loading.load(
            flags["model"], recipe=recipe, progress=progress, notify=progress.notice, **options
        )


def make_ready_later(facts: Mapping[str, Any]) -> None:
    """After the answers of a session with these ``facts``: have the next one load faster."""
    if READY in facts:
        from aipc.models.store import Store
        from aipc.session.ready import make_later

        make_later(facts, Store(), notice)


def prepare(flags: Mapping[str, Any], progress: Progress, notify: Notify) -> PreparedModel:
    """As `open_session`, up to the loading: `aipc.session.loading.open_session` does that."""
    wanted = session_options(flags)
    recipe = given(Recipe, flags)
    from aipc.session import prepare

    return prepare.prepare_session(
        flags["model"], wanted, recipe=recipe, progress=progress, notify=notify
    )


def session_options(flags: Mapping[str, Any]) -> SessionOptions:
    """Where and how to run."""
    options = device_options(flags)
    from aipc.session.place import SessionOptions

    return SessionOptions(**{**options, "npu": options["npu"] or NpuOptions()})


def device_options(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The same as keyword arguments of `aipc.session.loading.load`."""
    check_device(flags)
    runtime, properties = _runtime_and_properties(flags)
    return {
        "device": flags["device"],
        "runtime": runtime,
        "properties": properties,
        "npu": given(NpuOptions, flags),
        "emulate": flags["emulate"],
        "overflow": flags["overflow"],
        "canary": flags["canary"],
        "watch": flags["watch"],
        "probe": flags["probe"],
        "work": flags.get("work", "chat"),
    }


def plain_loading(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The same, and the recipe, as plain data for JSON."""
    options, recipe = device_options(flags), given(Recipe, flags)
    npu = options["npu"]
    return {
        **options,
        "device": plain_name(options["device"]),
        "npu": asdict(npu) if npu else None,
        "recipe": asdict(recipe) if recipe else None,
    }


def sampling_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling options that were given, already checked.

    Raises:
        UsageError: values that `Sampling` refuses.
    """
    given(Sampling, flags)
    check_sampling(flags)
    names = [declared.name for declared in describe(Sampling)]
    return {name: flags[name] for name in names if flags[name] is not None}


def _runtime_and_properties(flags: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    """A property belongs to one runtime, and so selects it."""
    runtime: str = flags["runtime"]
    for name, flag in (("openvino", "ov_config"), ("onnx", "onnx_config")):
        if not flags[flag]:
            continue
        if runtime not in {"auto", name} or (flags["ov_config"] and flags["onnx_config"]):
            raise UsageError(
                f"--{flag.replace('_', '-')} is for the runtime {name} alone",
                "give the properties of the runtime that computes",
            )
        return name, flags[flag]
    return runtime, {}


def _properties_flag(name: str, owner: str) -> Callable[[F], F]:
    return click.option(
        name,
        multiple=True,
        metavar="KEY=VALUE",
        callback=_properties,
        help=f"One of {owner} own properties; repeat it for more.",
    )


def _properties(
    context: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,
    pairs: tuple[str, ...],
) -> dict[str, str]:
    flag = parameter.opts[0]
    properties: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"{flag} '{pair}' is no KEY=VALUE", "write NUM_STREAMS=1, say")
        if key in properties:
            raise UsageError(f"{flag} gives {key} twice", "give it once")
        properties[key] = value
    return properties
