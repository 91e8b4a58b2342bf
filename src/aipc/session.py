"""From a name to a ready answerer: here, and in `conversion`, the rooms are joined."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aipc import vendors
from aipc.choose import read_artifact
from aipc.conversion import Notify, announce, log, prepare
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target
from aipc.devices import Device, reachable_devices
from aipc.errors import UsageError
from aipc.generate import Message, Reply, Stream, TextSide, collect, resolve, stream
from aipc.models import names
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import ArtifactSource, Source
from aipc.models.store import Store
from aipc.observed import ObservedEngine
from aipc.options import from_mapping
from aipc.placement import Placement, Wanted
from aipc.progress import Progress, silent
from aipc.running import Publication
from aipc.runtimes.base import Capabilities, Decoding, Engine, Sampling
from aipc.runtimes.static_shape import NpuOptions

if TYPE_CHECKING:
    from typing_extensions import Self


class Session:
    """A model on a device, ready to answer; made by `load`, a context manager.

    Several threads may stream from one session at once where its engine allows it.
    """

    def __init__(
        self, engine: Engine, able: Capabilities, text: TextSide, facts: Mapping[str, Any]
    ) -> None:
        self._engine = engine
        self._able = able
        self._text = text
        self._facts = facts
        self.context = text.context
        """Tokens that a prompt and its answer may have together."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was asked and what runs, where, how and why; ready for JSON.

        ``seen`` has the device's load during the latest answer, where a counter tells it.
        """
        return {**self._facts, **self._engine.facts}

    def stream(
        self, prompt: str | Sequence[Message], *, stop: Sequence[str] = (), **sampling: Any
    ) -> Stream:
        """Answer as an iterator of events: `Text` pieces, then one `Finished`.

        Args:
            prompt: one user message, or a conversation in OpenAI's form.
            stop: texts before any of which the answer ends.
            sampling: fields of `Sampling`: max_new_tokens, temperature, top_p, top_k,
                repetition_penalty, seed; what is left out is as the model's own
                generation_config.json has it.

        Raises:
            UsageError: an unknown option, a bad value, or one that the device can't honour.
            PromptTooLong: more tokens than the context holds.
            GenerationError: a prompt that the model's chat template refuses.
            EngineError: from the iteration, when the runtime fails.
        """
        decoding = self._decoding(sampling)
        ids = self._text.encode(prompt)
        return self._stream(ids, decoding, stop, self._text.stop_ids)

    def stream_ids(
        self,
        prompt: Sequence[int],
        *,
        stop: Sequence[str] = (),
        stop_ids: Collection[int] | None = None,
        **sampling: Any,
    ) -> Stream:
        """As `stream`, for a program with a tokenizer of its own: ``prompt`` is token ids.

        The answer's ids are the events' ``tokens``.  ``stop_ids`` end the answer in place of
        the model's own.

        Raises:
            AipcError: as `stream`.
        """
        ends = self._text.stop_ids if stop_ids is None else stop_ids
        return self._stream(prompt, self._decoding(sampling), stop, ends)

    def _decoding(self, sampling: Mapping[str, Any]) -> Decoding:
        asked = from_mapping(Sampling, sampling)
        self._able.check_sampling(asked)
        return resolve(asked, self._text.defaults)

    def _stream(
        self,
        prompt: Sequence[int],
        decoding: Decoding,
        stop: Sequence[str],
        stop_ids: Collection[int],
    ) -> Stream:
        return stream(
            self._engine,
            self._text.tokenizer,
            prompt,
            decoding,
            context=self.context,
            stops=stop,
            stop_ids=stop_ids,
        )

    @property
    def concurrent(self) -> bool:
        """Whether several answers can be under way at once."""
        return self._able.concurrent

    def generate(
        self, prompt: str | Sequence[Message], *, stop: Sequence[str] = (), **sampling: Any
    ) -> Reply:
        """The whole answer; arguments and errors are those of `stream`."""
        return collect(self.stream(prompt, stop=stop, **sampling))

    def close(self) -> None:
        """Free the model and the device."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def load(
    name: str | None = None,
    *,
    device: str = "auto",
    runtime: str = "auto",
    recipe: Recipe | None = None,
    properties: Mapping[str, str] | None = None,
    npu: NpuOptions | None = None,
    emulate: bool = False,
    overflow: str | None = None,
    canary: bool = True,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Session:
    """Fetch, convert, place and load a model, each step only where it was not done before.

    Args:
        name: short name, hub id (org/name[@revision]), checkpoint folder, .gguf file or
            artifact folder; None is the catalogue's small default.
        device: auto, npu, gpu, gpu.N, cpu, cuda, cuda.N, directml, directml.N or webgpu.
        runtime: auto, openvino or onnx.
        recipe: how to quantise; None is the device's own.  Not for an artifact folder.
        properties: the runtime's own, such as {"NUM_STREAMS": "1"}.
        npu: the NPU's static shapes; what is left out is sized from the requests.
        emulate: run the NPU's pipeline on the CPU; goes with ``device="npu"``.
        overflow: cpu or gpu: where a prompt too long for the NPU goes, each time with a
            notice; None: such a prompt is an error.
        canary: before a model is first used on an accelerator, have the CPU judge some tokens.
        store: where models are kept; None is the user's own.
        progress: told of long work.
        notify: told, in one line each, what a user should know.

    Raises:
        AipcError: what failed and what to do; the tree is in `aipc.errors`.
    """
    vendors.silence()
    store = store or Store()
    wanted = Wanted(
        device, runtime, properties or {}, emulate, overflow, canary, npu or NpuOptions()
    )
    source = names.resolve(name or CATALOGUE.default.name)
    devices = _devices(source, runtime)
    if isinstance(source, ArtifactSource):
        folder = _own_folder(source, recipe)
    else:
        target = wanted.target(devices, recipe)  # a device that is missing costs no download
        announce(name, source, store, notify)
        folder = _made(source, recipe, target, store, progress, notify)
    started = time.perf_counter()
    placement = Placement(read_artifact(folder), wanted, devices, store, progress, notify)
    engine, text = _open(placement, folder)
    facts = {"model": source.label, "artifact": str(folder), **placement.facts}
    facts["load_s"] = time.perf_counter() - started
    publication = Publication(store.running, source.label, placement.plan.runtime, engine.device)
    observed = ObservedEngine(engine, placement.computing, publication)
    text = replace(text, context=placement.context(text.context))
    return Session(observed, placement.capabilities, text, facts)


def _devices(source: Source, runtime: str) -> tuple[Device, ...]:
    """Those that may come into question; of a runtime that does not, nothing is loaded."""
    if isinstance(source, ArtifactSource):
        return reachable_devices({read_artifact(source.path).target})
    return reachable_devices() if runtime == "auto" else reachable_devices({runtime})


def _open(placement: Placement, folder: Path) -> tuple[Engine, TextSide]:
    with ThreadPoolExecutor(1) as pool:  # the text side is read while the weights are loaded
        reading = pool.submit(TextSide.read, folder)
        engine = placement.open()
        try:
            text = reading.result()
            placement.check(engine, text.encode)
        except BaseException:
            engine.close()
            raise
    return engine, text


def is_artifact(name: str) -> bool:
    """Whether ``name`` is a folder that is converted already, to which no recipe can apply.

    Raises:
        ModelError: it leads to no usable model.
    """
    return isinstance(names.resolve(name), ArtifactSource)


def _own_folder(source: ArtifactSource, recipe: Recipe | None) -> Path:
    if recipe is not None:
        raise UsageError(
            f"'{source.path}' is converted already, so a recipe can't apply",
            "leave out --weight-format, --group-size, --ratio and --sym",
        )
    return source.path


def _made(
    source: Source,
    recipe: Recipe | None,
    target: Target,
    store: Store,
    progress: Progress,
    notify: Notify,
) -> Path:
    made = prepare(source, recipe, store, target=target, progress=progress, notify=notify)
    for note in () if made.reused else made.notes:
        notify(note)
    return made.path
