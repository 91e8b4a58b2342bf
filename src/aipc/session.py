"""From a name to a ready answerer: here, and in `conversion`, the rooms are joined."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aipc import vendors
from aipc.checkpoint.generation import CONFIG, read_generation_config, read_stop_ids
from aipc.checkpoint.jsonfile import read_object
from aipc.choose import Plan, choose, read_artifact
from aipc.conversion import Notify, announce, log, prepare
from aipc.convert.recipe import Recipe
from aipc.devices import kind_of, reachable_devices
from aipc.errors import ArtifactError, UsageError
from aipc.generate import (
    ChatTemplate,
    Message,
    Reply,
    Stream,
    Tokenizer,
    collect,
    encode_prompt,
    resolve,
    stream,
)
from aipc.models import names
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import ArtifactSource, Source
from aipc.models.store import Store
from aipc.options import from_mapping
from aipc.progress import Progress, silent
from aipc.runtimes.base import Capabilities, Engine, Sampling
from aipc.runtimes.registry import RUNTIMES

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class _TextSide:
    """What an artifact says about text, above the runtimes' token ids."""

    tokenizer: Tokenizer
    template: ChatTemplate | None
    defaults: Mapping[str, Any]
    stop_ids: frozenset[int]
    context: int

    @classmethod
    def read(cls, folder: Path) -> _TextSide:
        tokenizer = Tokenizer.from_folder(folder)
        return cls(
            tokenizer,
            ChatTemplate.from_folder(folder, tokenizer.special_tokens),
            read_generation_config(folder),
            read_stop_ids(folder),
            _context(folder),
        )


class Session:
    """A model on a device, ready to answer; made by `load`, a context manager.

    Several threads may stream from one session at once where its engine allows it.
    """

    def __init__(
        self, engine: Engine, able: Capabilities, text: _TextSide, facts: Mapping[str, Any]
    ) -> None:
        self._engine = engine
        self._able = able
        self._text = text
        self.context = text.context
        """Tokens that a prompt and its answer may have together."""
        self.facts: Mapping[str, Any] = facts
        """What runs, where, how and why; ready for JSON."""

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
        asked = from_mapping(Sampling, sampling)
        self._able.check_sampling(asked)
        text = self._text
        return stream(
            self._engine,
            text.tokenizer,
            encode_prompt(prompt, text.tokenizer, text.template),
            resolve(asked, text.defaults),
            context=self.context,
            stops=stop,
            stop_ids=text.stop_ids,
        )

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
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Session:
    """Fetch, convert, place and load a model, each step only where it was not done before.

    Args:
        name: short name, hub id (org/name[@revision]), checkpoint folder, .gguf file or
            artifact folder; None is the catalogue's small default.
        device: auto, npu, gpu, gpu.0 or cpu.
        runtime: auto or openvino.
        recipe: how to quantise; None is the CPU's own.  Not for an artifact folder.
        properties: the vendor's own, such as {"NUM_STREAMS": "1"}.
        store: where models are kept; None is the user's own.
        progress: told of long work.
        notify: told, in one line each, what a user should know.

    Raises:
        AipcError: what failed and what to do; the tree is in `aipc.errors`.
    """
    vendors.silence()
    store = store or Store()
    source = names.resolve(name or CATALOGUE.default.name)
    announce(name, source, store, notify)
    folder = _artifact(source, recipe, store, progress, notify)
    started = time.perf_counter()
    plan, facts = _plan(folder, device, runtime, properties)
    chosen = RUNTIMES.get(plan.runtime)
    with ThreadPoolExecutor(1) as pool:  # the text side is read while the weights are loaded
        reading = pool.submit(_TextSide.read, folder)
        engine = chosen.open(folder, plan.device, plan.properties)
        try:
            text = reading.result()
        except BaseException:
            engine.close()
            raise
    facts = {"model": source.label, "artifact": str(folder), **facts, **engine.facts}
    facts["load_s"] = time.perf_counter() - started
    return Session(engine, chosen.capabilities(kind_of(plan.device)), text, facts)


def _artifact(
    source: Source, recipe: Recipe | None, store: Store, progress: Progress, notify: Notify
) -> Path:
    """The folder to run: the user's own, or the one that the recipe makes."""
    if not isinstance(source, ArtifactSource):
        made = prepare(source, recipe, store, progress=progress, notify=notify)
        for note in () if made.reused else made.notes:
            notify(note)
        return made.path
    if recipe is not None:
        raise UsageError(
            f"'{source.path}' is converted already, so a recipe can't apply",
            "leave out --weight-format, --group-size, --ratio and --sym",
        )
    return source.path


def _plan(
    folder: Path, device: str, runtime: str, properties: Mapping[str, str] | None
) -> tuple[Plan, dict[str, Any]]:
    artifact = read_artifact(folder)
    devices = reachable_devices()
    plan = choose(artifact, devices, device=device, runtime=runtime, properties=properties)
    found = next(one for one in devices if one.name == plan.device)
    return plan, {
        "weights": artifact.weights,
        "device_name": found.full_name,
        "why": list(plan.why),
    }


def _context(folder: Path) -> int:
    """The model's longest sequence in tokens, prompt and answer together."""
    stated = read_object(folder / CONFIG).get("max_position_embeddings")
    if type(stated) is not int or stated < 1:
        raise ArtifactError(
            f"'{folder / CONFIG}' does not state max_position_embeddings",
            "convert the model again",
        )
    return stated
