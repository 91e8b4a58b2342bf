"""From a name to a loaded session, and to transformers' view of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc import remedies
from aipc.artifact.files import GENERATION_CONFIG
from aipc.convert.recipe import Recipe
from aipc.errors import ArtifactError, DeviceError
from aipc.session.loading import load
from aipc.session.session import Session

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig
import os
from collections.abc import Mapping
from dataclasses import dataclass

from aipc.facade.arguments import notice

VARIABLE = "AIPC_DEVICE"
EMULATE = "emulate"


@dataclass(frozen=True)
class RequestedDevice:
    """Where a facade's model runs: as the program says, unless AIPC_DEVICE says otherwise.

    A program that names a device ('GPU.0', or the NPU by its very class) can so be tried, and
    tested, on a machine that has none:

        AIPC_DEVICE=cpu       on the CPU, or any other name that --device takes
        AIPC_DEVICE=emulate   the NPU's pipeline, on the CPU

    ``device`` is a name that `aipc.load` takes; ``emulate`` runs the NPU's on the CPU.
    """

    device: str
    emulate: bool = False

    @property
    def options(self) -> Mapping[str, Any]:
        """Arguments of `aipc.load`."""
        return {"device": self.device} | ({"emulate": True} if self.emulate else {})

    def advise(self, error: DeviceError) -> DeviceError:
        """The same error, with the variable among the things to do."""
        choices = f"{VARIABLE}=cpu runs this program on the CPU as it is"
        if self.device.lower() == "npu":
            choices += f", {VARIABLE}={EMULATE} runs the NPU's pipeline there (slow, for tests)"
        return DeviceError(error.what, f"{error.fix}; {choices}" if error.fix else choices)


def requested_device(device: str, *, emulate: bool = False) -> RequestedDevice:
    """What the program asks for, or what the environment says in its place."""
    requested = RequestedDevice(device, emulate)
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if not wanted:
        return requested
    chosen = RequestedDevice("npu", emulate=True) if wanted == EMULATE else RequestedDevice(wanted)
    if chosen != requested:
        notice(f"{VARIABLE}={wanted}: the program asks for {_words(requested)}")
    return chosen


def _words(requested: RequestedDevice) -> str:
    return f"{requested.device}, emulated" if requested.emulate else requested.device


def open_session(
    name: str, recipe: Recipe | None, placement: RequestedDevice, **options: Any
) -> Session:
    """`aipc.load`, after making sure that torch is there for what comes next.

    Raises:
        DeviceError: torch or transformers is missing, or the device.
        AipcError: as `aipc.load`.
    """
    _require_torch()
    try:
        return load(name, recipe=recipe, **placement.options, **options)
    except DeviceError as error:
        raise placement.advise(error) from error


def _require_torch() -> None:
    try:
        import torch  # noqa: F401 - its absence is the question
        import transformers  # noqa: F401 - as well
    except ImportError as error:
        raise DeviceError(
            f"this class needs transformers and torch, and {error.name} is not installed",
            f"{remedies.add_extra('transformers')}, or use aipc.load, which needs no torch",
        ) from error


def read_config(folder: str, given: PretrainedConfig | None) -> PretrainedConfig:
    """The config of an artifact for transformers, or the one ``given`` in its place.

    Raises:
        ArtifactError: transformers can't read the folder's, or ``given`` is another network's.
    """
    from transformers import AutoConfig

    try:
        own = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"transformers knows no network as '{folder}/config.json' describes it",
            "use aipc.load, which does without transformers",
        ) from error
    if given is not None and given.model_type != own.model_type:
        raise ArtifactError(
            f"config is a {given.model_type}'s, and '{folder}' holds a {own.model_type}",
            f"say AutoConfig.from_pretrained('{folder}'), or leave it out",
        )
    return own if given is None else given


def read_generation_config(folder: str) -> GenerationConfig:
    """generation_config.json, or transformers' own where a vendor's folder has none."""
    from transformers import GenerationConfig

    if not (Path(folder) / GENERATION_CONFIG).is_file():
        return GenerationConfig()
    return GenerationConfig.from_pretrained(folder)
