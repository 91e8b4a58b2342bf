"""From a name to an artifact on the disk: fetched, converted, whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc import records, remedies, telemetry
from aipc.artifact import manifest
from aipc.convert.quality import (
    ConversionQuality,
    better_recipes,
    stated_quality,
    stated_reading,
)
from aipc.convert.recipe import BUILTIN, REVISION, Recipe
from aipc.convert.targets import TARGETS, Target, check_recipe, find_target
from aipc.disk import explained, free
from aipc.errors import ArtifactError, ConversionError, UnsupportedModel, UsageError
from aipc.foreign_text import one_line
from aipc.models import names
from aipc.models.catalogue import CATALOGUE, model_name
from aipc.models.source import (
    ArtifactSource,
    FolderSource,
    Source,
    describe,
    without_adapters,
)
from aipc.models.staging import staged
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.session.check import BrokenArtifact, ConversionCheck, judge, uncheckable
from aipc.session.checkpoints import checkpoint_files, open_source
from aipc.session.parameters import checkpoint_parameters, count_parameters
from aipc.timing_spans import span
from aipc.units import amount

if TYPE_CHECKING:
    from aipc.checkpoint import Checkpoint
    from aipc.convert.export import Export
    from aipc.convert.plans.plan import ConversionPlan


def log(message: str) -> None:
    """The `Notify` of programs that give none of their own."""
    logging.getLogger("aipc").warning("%s", one_line(message))


@dataclass(frozen=True)
class Converted:
    """An artifact and what making it took; ``reused`` when it was there already.

    ``better`` has the flags that would lose much less, where that matters.
    """

    path: Path
    nbytes: int
    seconds: float
    notes: tuple[str, ...]
    reused: bool
    facts: Mapping[str, Any]
    better: str = ""

    @property
    def quality(self) -> ConversionQuality | None:
        """None where nobody knows: a vendor's export, a recipe without figures."""
        return stated_quality(self.facts)


def convert(
    name: str,
    recipe: Recipe | None = None,
    *,
    target: str = "cpu",
    output: Path | None = None,
    runtime: str = "auto",
    activations: str = "",
    check: ConversionCheck | None = None,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Converted:
    """Make an artifact, in ``output`` or in the store; fetch the checkpoint where it is missing.

    Without a ``recipe`` the target's own for a network of its size is taken; "auto" is the target's
    first runtime; ``activations`` are what its graph computes in, "fp16" or "fp32", and empty the
    target's usual.  With a ``check`` the artifact is judged before it is kept, or where it is if it
    was kept already.

    Raises:
        BrokenArtifact: the check found that it keeps too little of the model.
        AipcError: what failed and what to do.  Nothing half made is left.
    """
    telemetry.switch_off()
    meant_for = find_target(target, runtime)
    if activations:
        meant_for = meant_for.computing_in(activations)
    store = store or Store()
    source = names.resolve(name, store)
    announce(name, source, store, notify)
    if isinstance(source, ArtifactSource):
        raise ArtifactError(
            f"'{source.path}' is converted already", "name the checkpoint that it was made from"
        )
    return prepare(
        source,
        recipe,
        store,
        target=meant_for,
        output=output,
        check=check,
        progress=progress,
        notify=notify,
    )


def announce(name: str | None, source: Source, store: Store, notify: Notify) -> None:
    """Say what is about to be downloaded; and what the default is, to who named no model."""
    if store.holds(source):
        return
    store.check_writable()
    model = CATALOGUE.find(source)
    size = f"{model.what}, {amount(model.nbytes)}, {model.terms}; " if model else ""
    notify(f"fetching {model_name(source)} ({size}once)")
    if name is None:
        notify("no model was named: this is the small default; for Phi-3 add -m phi-3-mini")


def prepare(
    source: Source,
    recipe: Recipe | None,
    store: Store,
    *,
    target: Target = TARGETS["cpu"],
    output: Path | None = None,
    check: ConversionCheck | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Converted:
    """Make the artifact, or find it made: of two processes that want it, one makes it.

    Raises:
        UsageError: a recipe that the target can't run.
        AipcError: as `convert`.
    """
    if recipe is None:
        recipe = target.sized(count_parameters(source, store, progress)).recipe
    if output is not None:
        _check_outside(output, source)
    order = _Order(source, recipe, target, check)
    final = output or store.artifact_path(order.key)
    started = time.perf_counter()
    found = manifest.find(final)
    if found is None or output is not None:
        store.outputs.tidy()
    made = found or _make(order, final, store, progress, notify)
    quality = stated_quality(made.facts)
    if made.name != order.key:
        raise ConversionError(
            f"'{final}' holds another artifact, {made.name}", "choose a new folder, or remove it"
        )
    is_measured = bool(quality and quality.measured) or stated_reading(made.facts) is not None
    if check is not None and not is_measured:
        made = _check_kept(order, check, final, store, progress)
    return Converted(
        path=final,
        nbytes=made.nbytes,
        seconds=time.perf_counter() - started,
        notes=tuple(made.facts.get("notes", ())),
        reused=found is not None,
        facts=made.facts,
        better=better_recipes(order.recipe, target, made.facts),
    )


def find_artifact(source: Source, recipe: Recipe, store: Store, target: Target) -> Path | None:
    """The artifact that `prepare` would find in the store; None: it would make one."""
    path = store.artifact_path(artifact_key(source, recipe, target))
    return None if manifest.find(path) is None else path


def artifact_key(source: Source, recipe: Recipe, target: Target) -> str:
    """The name that it has in every store.

    Raises:
        UsageError: a recipe that the target can't run.
    """
    return _Order(source, recipe, target).key


class _Order:
    """What is to be made; ``key`` is its name in the store, fixed before anything is read."""

    def __init__(
        self, source: Source, recipe: Recipe, target: Target, check: ConversionCheck | None = None
    ) -> None:
        check_recipe(target, recipe)
        self.check = check
        self.source = source
        self.recipe = recipe
        self.target = target
        meant_for = f"-{target.name}" if target.is_strict else ""
        if target.activations:
            meant_for += f"-{target.activations}"
        made_from = f"{recipe.tag}{_text_tag(recipe)}"
        self.key = f"{source.name}-{target.runtime}{meant_for}-{made_from}-{REVISION}"


def _text_tag(recipe: Recipe) -> str:
    """Tells artifacts apart that were calibrated on different files."""
    if not recipe.is_calibrated or recipe.calibration == BUILTIN:
        return ""
    try:
        return f"-{manifest.sha256(Path(recipe.calibration))[:10]}"
    except OSError as error:
        raise UsageError(
            f"the calibration text '{recipe.calibration}' can't be read ({error.strerror})",
            "name a text file, or leave out --calibration",
        ) from error


def _make(
    order: _Order, final: Path, store: Store, progress: Progress, notify: Notify
) -> manifest.Manifest:
    identity = order.source.name
    with span("fetch"):
        checkpoint = open_source(order.source, store, progress)
    files = checkpoint_files(checkpoint, store)
    with span("convert"), checkpoint:
        work = _work(order, checkpoint, final.parent, progress, notify)
        owned = final == store.artifact_path(order.key)
        with (
            nullcontext() if owned else store.outputs.noted(final),
            ThreadPoolExecutor(1) as pool,
            staged(final, owned=owned, needed=work.room, progress=progress) as folder,
        ):
            if folder is not None:
                checking = pool.submit(files.check_large)
                work.write(folder, progress)
                checking.result()
                _check_unchanged(order.source, identity)
                facts = {"source": _provenance(order.source, checkpoint), **work.facts}
                if order.check is not None:
                    quality = judge(order.check, order.recipe, facts, checkpoint, folder, progress)
                    facts["quality"] = records.plain(quality)
                manifest.write(folder, "artifact", order.key, facts, progress=progress)
        store.verified(final).note()
    return manifest.read(final)


def _check_kept(
    order: _Order, check: ConversionCheck, final: Path, store: Store, progress: Progress
) -> manifest.Manifest:
    """Judge an artifact that was made without a check; what is found is kept with it."""
    kept = manifest.read(final)
    with open_source(order.source, store, progress) as checkpoint:
        try:
            quality = judge(check, order.recipe, kept.facts, checkpoint, final, progress)
        except BrokenArtifact as broken:
            raise BrokenArtifact(broken.what, f"remove '{final}'; {broken.fix}") from broken
    with explained(final, ConversionError):
        return manifest.add_facts(final, {"quality": records.plain(quality)})


def _work(
    order: _Order, checkpoint: Checkpoint, parent: Path, progress: Progress, notify: Notify
) -> ConversionPlan | Export:
    """Our own conversion, or the exporter's for a network that has no graph here."""
    from aipc.convert.plans.planning import plan_conversion, reads_whole_texts

    try:
        conversion = plan_conversion(checkpoint, order.recipe, order.target, progress)
    except UnsupportedModel as unknown:
        if not checkpoint.path.is_dir() or checkpoint.adapters or reads_whole_texts(checkpoint):
            raise
        if order.check is not None:
            raise uncheckable(unknown) from unknown
        return _export(order, checkpoint, unknown, notify)
    _foretell(conversion, order.check, parent, notify)
    return conversion


def _export(
    order: _Order, checkpoint: Checkpoint, unknown: UnsupportedModel, notify: Notify
) -> Export:
    from aipc.convert.onnx.export import BuilderExport
    from aipc.convert.openvino.export import OptimumExport

    kind = BuilderExport if order.target.runtime == "onnx" else OptimumExport
    if not kind.is_installed():
        extra = f"or have {kind.exporter} try it: {remedies.add_extra('export')} (torch, 2 GB)"
        raise UnsupportedModel(unknown.what, f"{unknown.fix}, {extra}") from unknown
    misfit = kind.misfit(order.recipe)
    if misfit:
        raise UnsupportedModel(
            unknown.what, f"{kind.exporter} can convert it with {misfit}"
        ) from unknown
    notify(f"{unknown.what}; {kind.exporter} exports it instead")
    parameters = checkpoint_parameters(checkpoint)
    return kind(checkpoint.path, order.recipe.rounded, order.target, parameters)


def _check_outside(output: Path, source: Source) -> None:
    """What is written into a checkpoint's folder changes the checkpoint while it is read."""
    source = without_adapters(source)
    inside = isinstance(source, FolderSource) and source.path.resolve() in output.resolve().parents
    if inside:
        raise UsageError(
            f"'{output}' lies in the checkpoint's own folder", "choose a folder outside it"
        )


def _foretell(
    conversion: ConversionPlan,
    check: ConversionCheck | None,
    parent: Path,
    notify: Notify,
) -> None:
    """Say what it will take; refuse what can't fit, with the recipe that would."""
    from aipc.convert.forecast import forecast, smaller_recipe

    room = free(parent)
    if conversion.room > room:
        smaller = smaller_recipe(conversion, room)
        advice = f", or take {smaller.flags}, which fits" if smaller else ""
        raise ConversionError(
            f"writing the artifact needs {amount(conversion.room)}, '{parent}' has {amount(room)}",
            f"free some, or write it elsewhere with -o DIR{advice}",
        )
    unknown = set(conversion.checkpoint.files) - _known_hashes(conversion.checkpoint).keys()
    coming = forecast(
        conversion,
        checked_tokens=0 if check is None else check.tokens,
        hashed_bytes=sum(file.stat().st_size for file in unknown),
    )
    notify(
        f"converting to {conversion.recipe.tag}: {amount(coming.nbytes)} on disk, about "
        f"{amount(coming.memory)} of memory and {coming.seconds:.0f} s"
    )


def _check_unchanged(source: Source, identity: str) -> None:
    """A local source's name is made of its files' sizes and times."""
    if source.name != identity:
        raise ConversionError(
            f"{model_name(source)} was changed while it was being read", "convert it again"
        )


def _provenance(source: Source, checkpoint: Checkpoint) -> dict[str, Any]:
    """The source and the SHA-256 of every file that it was read from."""
    known = _known_hashes(checkpoint)

    def sha256(file: Path) -> str:
        return known.get(file) or manifest.sha256(file)

    with ThreadPoolExecutor() as pool:
        hashes = list(pool.map(sha256, checkpoint.files))
    names = [file.name for file in checkpoint.files]
    about = {**describe(source), "files": dict(zip(names, hashes, strict=True))}
    for one, told in zip(checkpoint.adapters, about.get("adapters", ()), strict=True):
        told["files"] = {file.name: manifest.sha256(file) for file in one.adapter.paths}
    return about


def _known_hashes(checkpoint: Checkpoint) -> dict[Path, str]:
    """Those of its files that a manifest beside them has."""
    folder = checkpoint.path if checkpoint.path.is_dir() else checkpoint.path.parent
    kept = manifest.find(folder)
    names = {} if kept is None else {name: file.sha256 for name, file in kept.files.items()}
    return {file: names[file.name] for file in checkpoint.files if file.name in names}
