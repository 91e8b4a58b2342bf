"""The last step from a name to answers: fetched, converted, placed, and loaded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from aipc.convert.recipe import Recipe
from aipc.errors import AipcError
from aipc.generate import TextPipeline
from aipc.models import names
from aipc.models.catalogue import model_name
from aipc.models.source import ArtifactSource
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.base import Engine
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.session.convert import log
from aipc.session.observe import ObservedEngine
from aipc.session.place import Placement, SessionOptions
from aipc.session.prepare import PreparedModel, prepare_session
from aipc.session.session import Session
from aipc.session_status import StatusPublisher
from aipc.timing_spans import beside, recorded, span


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
    watch: bool = True,
    probe: bool = True,
    work: str = "chat",
    exact: bool = False,
    adapters: Mapping[str, str] | None = None,
    adapter: str = "",
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Session:
    """Fetch, convert, place and load a model, each step only where it was not done before.

    Args:
        name: short name, hub id (org/name[@revision]), checkpoint folder, .gguf file or
            artifact folder, with " + DIR[:SCALE]" for each adapter to merge; None is the
            catalogue's small default.
        device: auto, npu, gpu, gpu.N, cpu, cuda, cuda.N, directml, directml.N or webgpu.
        runtime: auto, openvino or onnx.
        recipe: how to quantize; None is the device's own.  Not for an artifact folder.
        properties: the runtime's own, such as {"NUM_STREAMS": "1"}.
        npu: the NPU's static shapes; what is left out is sized from the requests.
        emulate: run the NPU's pipeline on the CPU; goes with ``device="npu"``.
        overflow: cpu or gpu takes prompts too long for the NPU, with a notice; None: an error.
        canary: before a model is first used on an accelerator, have the CPU judge some tokens.
        watch: while nobody asks, have the CPU judge some of an accelerator's answers; one that
            computes wrongly is not used for the model any more.
        probe: where nothing was tuned, measure what is fastest here: seconds, once for a model.
        work: what for: run (one short answer), chat, serve or document (a long text).
        adapters: LoRA adapters that requests can choose from, {"name": "DIR[:SCALE]"}, not merged.
        adapter: the name of the one that requests have which choose none.
        exact: round least, so that near-ties fall alike whatever was computed before; slower.
        store: where models are kept; None is the user's own.
        progress: called during long work.
        notify: called with one line for each thing: what a user should know.

    Raises:
        AipcError: what failed and what to do; the tree is in `aipc.errors`.
    """
    wanted = SessionOptions(
        device,
        runtime,
        properties or {},
        emulate,
        overflow,
        canary,
        watch,
        probe,
        work,
        npu or NpuOptions(),
        exact,
        adapters or {},
        adapter,
    )
    with recorded() as stages:
        prepared = prepare_session(
            name, wanted, recipe=recipe, store=store, progress=progress, notify=notify
        )
        session = open_session(prepared)
    session.stages = tuple(stages)
    return session


def open_session(prepared: PreparedModel) -> Session:
    """Load what `prepare_session` made ready.

    Raises:
        AipcError: as `load`.
    """
    placement, started = prepared.placement, time.perf_counter()
    with span("load", f"loading on {placement.plan.device} ({placement.plan.runtime})"):
        engine, text = _open(placement, prepared.folder, prepared.store)
    text = replace(text, defaults=(*prepared.sampling, *text.defaults))
    facts = {
        **prepared.facts,
        "sampling_defaults": [asdict(one) for one in text.defaults],
        "load_s": time.perf_counter() - started,
    }
    runtime, label = placement.plan.runtime, model_name(prepared.source)
    publication = StatusPublisher(prepared.store.running, label, runtime, engine.device)
    check = placement.live_check(label)
    observed = ObservedEngine(engine, placement.computing, publication, check)
    text = replace(text, context=placement.context(text.context))
    return Session(observed, placement.capabilities, text, facts, placement.adapter)


def _open(placement: Placement, folder: Path, store: Store) -> tuple[Engine, TextPipeline]:
    files = store.verified(folder)
    with span("check small files"):
        files.check_small()
    with ThreadPoolExecutor(2) as pool:  # while the weights are loaded
        reading = pool.submit(beside("tokenizer, at the same time", TextPipeline.read), folder)
        checking = pool.submit(beside("check weights, at the same time", files.check_large))
        with span("read and compile"):
            engine = _opened(placement, checking)
        try:
            checking.result()
            text = reading.result()
            placement.check(engine, text.encode)
        except BaseException:
            engine.close()
            raise
    return engine, text


def _opened(placement: Placement, checking: Future[None]) -> Engine:
    """Of weights that are damaged the vendor's error says less than the check of them."""
    try:
        return placement.open()
    except AipcError:
        checking.result()
        raise


def is_artifact(name: str) -> bool:
    """Whether ``name`` is a folder that is converted already, to which no recipe can apply.

    Raises:
        ModelError: it leads to no usable model.
    """
    return isinstance(names.resolve(name), ArtifactSource)
