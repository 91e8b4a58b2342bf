"""A model on a device: chosen, opened there, and shown to answer as the CPU does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact import manifest
from aipc.artifact.lora import Factors
from aipc.choose import Artifact, Plan, choose
from aipc.choose.canary import PROMPTS, Canary
from aipc.choose.destination import choose_target
from aipc.choose.probe.work import KINDS_OF_WORK
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target
from aipc.devices import Device, kind_of
from aipc.devices.device import plain_name
from aipc.devices.quarantine import Quarantine
from aipc.errors import UsageError
from aipc.models import names
from aipc.models.blobs import Blobs, fingerprint
from aipc.models.store import Store
from aipc.progress import Notify, Progress, unheard
from aipc.runtimes.base import Capabilities, Engine
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.runtimes.overflow import OverflowEngine
from aipc.runtimes.registry import RUNTIMES
from aipc.session.live.check import JudgedDevice, LiveCheck
from aipc.timing_spans import span

if TYPE_CHECKING:
    from aipc.choose.measured import Tuned
    from aipc.choose.setup import ProbedChoice

_EXACT = {
    "openvino": {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    },
}
"""What rounds least, so that the same tokens come whatever is computed beside them or was before.

It makes the CPU a judge of other devices: only their own rounding should count.
"""
_MODEL_FILES = frozenset({".xml", ".bin", ".onnx", ".data"})


@dataclass(frozen=True)
class SessionOptions:
    """Where and how a model is to run, as the user asks; the words are `aipc.load`'s."""

    device: str = "auto"
    runtime: str = "auto"
    properties: Mapping[str, str] = field(default_factory=dict)
    emulate: bool = False
    overflow: str | None = None
    canary: bool = True
    watch: bool = True
    """Whether the CPU judges some of an accelerator's answers while nobody asks."""
    probe: bool = True
    """Whether what is fastest here is measured, where nothing was tuned."""
    work: str = "chat"
    """What for, one of `aipc.choose.probe.work.KINDS_OF_WORK`."""
    npu: NpuOptions = field(default_factory=NpuOptions)
    exact: bool = False
    """Round least, but on the NPU, where a request is always computed alone."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Those that a request can choose, by name; each as a model's name has it after its own."""
    adapter: str = ""
    """The one of requests that choose none."""

    def __post_init__(self) -> None:
        if self.overflow not in {None, "cpu", "gpu"}:
            raise UsageError(f"no overflow to '{self.overflow}'", "choose cpu or gpu")
        if self.work not in KINDS_OF_WORK:
            raise UsageError(
                f"no kind of work '{self.work}'", f"choose one of {', '.join(KINDS_OF_WORK)}"
            )

    def target(self, devices: Sequence[Device], recipe: Recipe | None) -> Target:
        """What to convert a model for; errors are those of `choose_target`."""
        return choose_target(
            devices,
            device=self.device,
            runtime=self.runtime,
            recipe=recipe,
            emulate=self.emulate,
        )


class Placement:
    """One artifact's way onto one device."""

    def __init__(
        self,
        artifact: Artifact,
        wanted: SessionOptions,
        devices: Sequence[Device],
        store: Store,
        progress: Progress,
        notify: Notify,
        *,
        tuned: Tuned | None = None,
        probed: ProbedChoice | None = None,
        note: str = "",
    ) -> None:
        """Decide; nothing is loaded yet.  Errors are those of `aipc.choose.choose`.

        ``tuned`` is what was measured for this artifact here, ``probed`` what some of its blocks
        promise; ``note`` is one more reason.
        """
        self._artifact = artifact
        self._store = store
        if wanted.canary and plain_name(wanted.device) == "auto":
            devices, passed_over = self._trusted(artifact.path, devices)
            note = "; ".join(filter(None, (note, *passed_over)))
            left = {device.name.lower() for device in devices}
            tuned = tuned if tuned and tuned.setup.device.lower() in left else None
            probed = probed if probed and probed.device.lower() in left else None
        self.plan: Plan = choose(
            artifact,
            devices,
            device=wanted.device,
            runtime=wanted.runtime,
            properties=wanted.properties,
            emulate=wanted.emulate,
            tuned=tuned,
            probed=probed,
        )
        if wanted.exact and kind_of(self.plan.device) != "npu" and not wanted.emulate:
            self.plan = self._exact(wanted.properties)
        self._why = (*self.plan.why, note) if note else self.plan.why
        self._tuned = tuned
        self.kind = kind_of(self.plan.device)
        if wanted.adapters:
            self.capabilities.check_adapters()
        self._wanted = wanted
        self._report = (progress, notify)
        found = (device for device in devices if device.name == self.plan.device)
        self._driver = next((device.driver for device in found), None)

    def _exact(self, own: Mapping[str, str]) -> Plan:
        properties = {**self.plan.properties, **_EXACT.get(self.plan.runtime, {}), **own}
        return replace(self.plan, properties=properties)

    @property
    def capabilities(self) -> Capabilities:
        return RUNTIMES.get(self.plan.runtime).capabilities(self.kind)

    @property
    def computing(self) -> str:
        """The kind of device that computes: an emulated NPU's work is the CPU's."""
        return "cpu" if self._wanted.emulate else self.kind

    @property
    def adapter(self) -> str:
        """The name of the adapter of requests that choose none."""
        return self._wanted.adapter

    @property
    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "asked": {"device": self._wanted.device, "runtime": self._wanted.runtime},
            "device_name": self.plan.device_name,
            "weights": self._artifact.weights,
            "why": list(self._why),
            "tuned": self._tuned.when if self._tuned else None,
            **({"adapters": list(self._wanted.adapters)} if self._wanted.adapters else {}),
        }

    def open(self) -> Engine:
        """Load the model; a prompt too long for the NPU goes elsewhere only where that is wanted.

        Raises:
            AipcError: as `aipc.runtimes.base.Runtime.open`.
        """
        plan = self.plan
        is_npu = self.kind == "npu"
        if idle := self._idle:
            verb = "is" if len(idle) == 1 else "are"
            self._report[1](f"{', '.join(idle)} {verb} for the NPU: no effect on {plan.device}")
        engine = self._open_npu() if is_npu else self._open_on(plan.device, plan.properties)
        overflow = self._wanted.overflow
        if overflow is None:
            return engine
        return OverflowEngine(engine, lambda: self._open_on(overflow, {}), self._report[1])

    @property
    def _idle(self) -> list[str]:
        """Flags that only the NPU heeds, where it might have been taken and was not."""
        if self.kind == "npu" or plain_name(self._wanted.device) != "auto":
            return []
        stated = {**asdict(self._wanted.npu), "overflow": self._wanted.overflow}
        names = [name for name, value in stated.items() if value is not None]
        return [f"--{name.replace('_', '-')}" for name in names]

    def check(self, engine: Engine, encode: Callable[[str], Sequence[int]]) -> None:
        """Have the CPU judge an accelerator's first tokens, once for a model and a driver.

        ``encode`` makes a prompt's token ids.

        Raises:
            DeviceError: the device answers otherwise than the CPU.
        """
        if self.kind == "cpu" or not self._wanted.canary:
            return
        self._quarantine.check()
        with span("compare with the CPU", "comparing its tokens with the CPU's"):
            self._compare(engine, encode)

    def _compare(self, engine: Engine, encode: Callable[[str], Sequence[int]]) -> None:
        prompts = [encode(prompt) for prompt in PROMPTS]
        canary = Canary(self._store.home / "canary", self._identity(engine))
        exact = _EXACT.get(self.plan.runtime, {})
        canary.check(engine, lambda: self._open_on("cpu", exact), prompts, self._report[1])

    def live_check(self, model: str) -> LiveCheck | None:
        """What judges answers of ``model``; None on the CPU, or where that is not wanted."""
        if self.kind == "cpu" or not (self._wanted.canary and self._wanted.watch):
            return None

        def on_wrong(why: str) -> None:
            found = self._quarantine.put(model, self.plan.device, why)
            self._report[1](f"{found.words}; it is not used for this model any more")

        about = JudgedDevice(
            str(self._artifact.path),
            self.plan.runtime,
            self.plan.device,
            self._driver,
            self._artifact.nbytes,
        )
        return LiveCheck(about, on_wrong)

    @property
    def _quarantine(self) -> Quarantine:
        return Quarantine(self._store.quarantine, self._about())

    def _trusted(
        self, folder: Path, devices: Sequence[Device]
    ) -> tuple[Sequence[Device], tuple[str, ...]]:
        """(those that were not seen to compute the model wrongly, a line for each other one)."""
        if not self._store.quarantine.is_dir():
            return devices, ()
        trusted, passed_over = [], []
        for device in devices:
            about = _about(folder, device.name, device.driver)
            found = Quarantine(self._store.quarantine, about).find()
            if found is None or device.kind == "cpu":
                trusted.append(device)
            else:
                passed_over.append(found.words)
        return trusted, tuple(passed_over)

    def context(self, model: int) -> int:
        """Tokens of a prompt and its answer together, of a model that can hold ``model``."""
        is_bounded = self.kind == "npu" and self._wanted.overflow is None
        return self._wanted.npu.context(model) if is_bounded else model

    def _open_on(self, device: str, properties: Mapping[str, str]) -> Engine:
        folder, adapters = self._artifact.path, self._factors()
        if self.plan.runtime == "onnx" and kind_of(device) == "cpu":
            from aipc.runtimes.onnx.ready_weights import open_on_cpu

            notify = self._report[1]
            blobs = cpu_blobs(folder, self._store, notify)
            return open_on_cpu(folder, properties, blobs, notify, adapters)
        runtime = RUNTIMES.get(self.plan.runtime)
        if not adapters:
            return runtime.open(folder, device, properties)
        return runtime.open(folder, device, properties, adapters)

    def _factors(self) -> dict[str, Factors]:
        if not self._wanted.adapters:
            return {}
        from aipc.session.adapters import read_factors

        progress = self._report[0]
        return {
            name: read_factors(names.resolve_adapters(given), self._artifact, self._store, progress)
            for name, given in self._wanted.adapters.items()
        }

    def _open_npu(self) -> Engine:
        from aipc.runtimes.openvino.npu import open_npu

        progress, notify = self._report
        blobs = Blobs(self._store.blobs, self._about(), progress=progress, notify=notify)
        return open_npu(
            self._artifact.path,
            self.plan.properties,
            self._wanted.npu,
            blobs=blobs,
            progress=progress,
            notify=notify,
        )

    def _identity(self, engine: Engine) -> dict[str, Any]:
        """All that a verdict on the device holds for."""
        kept = ("runtime", "version", "properties")
        return {**self._about(), **{name: engine.facts[name] for name in kept}}

    def _about(self) -> dict[str, Any]:
        return _about(self._artifact.path, self.plan.device, self._driver)


def cpu_blobs(folder: Path, store: Store, notify: Notify = unheard) -> Blobs | None:
    """Where an artifact's weights are kept ready for the CPU.

    None for a folder without a manifest, whose weights would have to be hashed at each load.
    """
    if manifest.find(folder) is None:
        return None
    about = cpu_identity(folder)
    return Blobs(store.blobs, about, verified=store.verified, notify=notify)


def cpu_identity(folder: Path) -> dict[str, Any]:
    """What the weights kept ready for the CPU hold for, but packages and processor."""
    return _about(folder, "CPU", None)


def _about(folder: Path, device: str, driver: str | None) -> dict[str, Any]:
    files = sorted(file.name for file in folder.iterdir() if file.suffix in _MODEL_FILES)
    return {
        "model": fingerprint(folder, tuple(files)),
        "artifact": str(folder.resolve()),
        "device": device,
        "driver": driver,
    }
