"""The last step from a name to answers: the model loaded, and asked through one class."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from aipc.convert.recipe import Recipe
from aipc.generate import (
    Answerer,
    GenerationRequest,
    Prompt,
    RepetitionDetection,
    Stream,
    TextPipeline,
    Tokenizer,
    Tool,
    resolve,
    stream,
)
from aipc.models import names
from aipc.models.source import ArtifactSource
from aipc.models.store import Store
from aipc.options import from_mapping
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.base import Capabilities, Decoding, Engine
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.runtimes.sampling import Sampling
from aipc.session.convert import log
from aipc.session.observe import ObservedEngine
from aipc.session.place import Placement, SessionOptions
from aipc.session.prepare import PreparedModel, prepare_session
from aipc.session_status import StatusPublisher
from aipc.timing_spans import TimingSpan, beside, recorded, span

WARM_TOKENS = 12


class Session(Answerer):
    """A model on a device, ready to answer; made by `load`, a context manager.

    Several threads may stream from one session at once where its engine allows it.
    """

    def __init__(
        self, engine: Engine, able: Capabilities, text: TextPipeline, facts: Mapping[str, Any]
    ) -> None:
        self._engine = engine
        self._able = able
        self._text = text
        self._facts = facts
        self.context = text.context
        """Tokens that a prompt and its answer may have together."""
        self.stages: tuple[TimingSpan, ...] = ()
        """Where the time of `load` went."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was asked and what runs, where, how and why; ready for JSON.

        ``seen`` has the device's load during the latest answer, where a counter tells it.
        """
        return {**self._facts, **self._engine.facts}

    @property
    def capabilities(self) -> Capabilities:
        """What can be asked of it on its device."""
        return self._able

    @property
    def concurrent(self) -> bool:
        """Whether several answers can be under way at once."""
        return self._able.concurrent

    @property
    def tokenizer(self) -> Tokenizer:
        return self._text.tokenizer

    def encode(self, prompt: Prompt, *, tools: Sequence[Tool] = (), raw: bool = False) -> list[int]:
        """The token ids that `stream` gives the model for the same arguments.

        Raises:
            AipcError: as `stream`.
        """
        return self._text.prepare(_request(prompt, tools=tools, raw=raw)).tokens

    def stream(
        self,
        prompt: Prompt,
        *,
        stop: Sequence[str] = (),
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[Tool] = (),
        tool_choice: str = "auto",
        strict: bool = True,
        logprobs: bool = False,
        top_logprobs: int = 0,
        ignore_eos: bool = False,
        suffix: str | None = None,
        echo: bool = False,
        raw: bool = False,
        repetition_detection: Mapping[str, int] | None = None,
        think: bool | None = None,
        reasoning_effort: str | None = None,
        thinking_budget: int | None = None,
        template_options: Mapping[str, Any] | None = None,
        **sampling: Any,
    ) -> Stream:
        """Answer as an iterator of events: `Thinking`, `Text` and `ToolCall`, then a `Finished`.

        Args:
            prompt: one user message, or a conversation in OpenAI's form.
            stop: texts before any of which the answer ends.
            schema: a JSON schema that the answer's text must fit; {"type": "object"} asks
                for any JSON object.  An answer cut by its length is a cut JSON.
            tools: functions that the model may ask to be called, in OpenAI's form.
            tool_choice: "auto", "none", "required" (the model must call one) or a tool's name.
            strict: refuse a schema with a part that can't be enforced; without it the `Finished`
                says what of the finished answer does not fit.
            logprobs: have the events tell each token's probability.
            top_logprobs: and those of so many of the likeliest tokens at its place, up to 20.
            ignore_eos: go on past what ends the model's answers, to ``max_new_tokens``.
            suffix: have the model write what stands between ``prompt``, a text, and this one,
                with its tokens to fill in the middle.
            echo: give the prompt's tokens first, as an `Echo`, with the probabilities asked for.
            raw: continue ``prompt``, a text, without the model's chat template.
            repetition_detection: end an answer that goes round in a loop, with the finish reason
                "repetition"; {} or fields of `RepetitionDetection`.  None: it goes on.
            think: think before the answer, or don't; None is the model's own choice, but for an
                answer that has to fit a schema or be a call: those are not thought over unless
                it is asked for.
            reasoning_effort: how much to think, for models whose chat template takes it: none,
                minimal, low, medium, high or xhigh.
            thinking_budget: most tokens of thinking, after which its end is forced.
            template_options: more variables of the model's chat template.
            sampling: fields of `Sampling`: max_new_tokens, temperature, top_p, top_k, min_p,
                repetition_penalty, presence_penalty, frequency_penalty, logit_bias (token ids to
                what is added to their scores), seed; what is left out is as the model's
                makers state it: the catalogue, then generation_config.json.

        Raises:
            UsageError: an unknown option, a bad value, a schema or a tool beyond what is
                allowed, or something that the device can't honor.
            PromptTooLong: more tokens than the context holds.
            GenerationError: a prompt that the model's chat template refuses.
            EngineError: from the iteration, when the runtime fails.
        """
        return self.answer(
            _request(
                prompt,
                raw=raw,
                sampling=sampling,
                stop=stop,
                schema=schema,
                tools=tools,
                tool_choice=tool_choice,
                strict=strict,
                logprobs=logprobs,
                top_logprobs=top_logprobs,
                ignore_eos=ignore_eos,
                suffix=suffix,
                echo=echo,
                repetition_detection=repetition_detection,
                think=think,
                reasoning_effort=reasoning_effort,
                thinking_budget=thinking_budget,
                template_options=template_options or {},
            )
        )

    def answer(self, request: GenerationRequest) -> Stream:
        """As `stream`, which makes such a request of its arguments; errors are the same."""
        decoding = self._decoding(request.sampling)
        prepared = self._text.prepare(request)
        decoding = replace(
            decoding,
            constraint=prepared.constraint,
            logprobs=request.logprobs or request.top_logprobs > 0,
            top_logprobs=request.top_logprobs,
        )
        self._able.check_decoding(decoding)
        if request.echo and decoding.logprobs:
            self._able.check_logits()
        asked = request.repetition_detection
        return self._stream(
            prepared.tokens,
            decoding,
            request.stop,
            self._text.ends(request),
            reader=prepared.reader,
            repetition=None if asked is None else from_mapping(RepetitionDetection, asked),
            echo=request.echo,
            thinking=prepared.thinking,
            whole=request.whole,
            check=prepared.enforced.misfit if prepared.enforced else None,
        )

    def count(self, request: GenerationRequest) -> int:
        """Tokens of the prompt that `answer` would give the model; errors are the same."""
        return len(self._text.prepare(request).tokens)

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
        decoding = resolve(from_mapping(Sampling, sampling), self._text.defaults).decoding
        self._able.check_decoding(decoding)
        self._text.check_bias(decoding.logit_bias)
        return decoding

    def _stream(
        self,
        prompt: Sequence[int],
        decoding: Decoding,
        stop: Sequence[str],
        stop_ids: Collection[int],
        **more: Any,
    ) -> Stream:
        return stream(
            self._engine,
            self._text.tokenizer,
            prompt,
            decoding,
            context=self.context,
            stops=stop,
            stop_ids=stop_ids,
            **more,
        )

    def close(self) -> None:
        """Free the model and the device."""
        self._engine.close()


def _request(prompt: Prompt, **fields: Any) -> GenerationRequest:
    if isinstance(prompt, str):
        return GenerationRequest(prompt=prompt, **fields)
    return GenerationRequest(messages=prompt, **fields)


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
    probe: bool = True,
    work: str = "chat",
    exact: bool = False,
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
        recipe: how to quantize; None is the device's own.  Not for an artifact folder.
        properties: the runtime's own, such as {"NUM_STREAMS": "1"}.
        npu: the NPU's static shapes; what is left out is sized from the requests.
        emulate: run the NPU's pipeline on the CPU; goes with ``device="npu"``.
        overflow: cpu or gpu takes prompts too long for the NPU, with a notice; None: an error.
        canary: before a model is first used on an accelerator, have the CPU judge some tokens.
        probe: where nothing was tuned, measure what is fastest here: seconds, once for a model.
        work: what for: run (one short answer), chat, serve or document (a long text).
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
        probe,
        work,
        npu or NpuOptions(),
        exact,
    )
    with recorded() as stages:
        prepared = prepare_session(
            name, wanted, recipe=recipe, store=store, progress=progress, notify=notify
        )
        session = open_session(prepared)
    session.stages = tuple(stages)
    return session


def open_session(prepared: PreparedModel, *, warm: bool = False) -> Session:
    """Load what `prepare_session` made ready.

    ``warm`` has it answer a few tokens before anybody asks, so that what a runtime does once, at
    its first inference, is done: OpenVINO rearranges int4 weights then, for seconds.

    Raises:
        AipcError: as `load`.
    """
    placement, started = prepared.placement, time.perf_counter()
    with span("load"):
        engine, text = _open(placement, prepared.folder)
    if warm:
        with span("warm up"):
            _warm_up(engine, text)
    text = replace(text, defaults=(*prepared.sampling, *text.defaults))
    facts = {
        **prepared.facts,
        "sampling_defaults": [asdict(one) for one in text.defaults],
        "load_s": time.perf_counter() - started,
    }
    runtime, label = placement.plan.runtime, prepared.source.label
    publication = StatusPublisher(prepared.store.running, label, runtime, engine.device)
    observed = ObservedEngine(engine, placement.computing, publication)
    text = replace(text, context=placement.context(text.context))
    return Session(observed, placement.capabilities, text, facts)


def _warm_up(engine: Engine, text: TextPipeline) -> None:
    """Compute a prompt, and a token after it: the two have kernels of their own.

    Shorter than any block of a prefix cache, so that none is left in it.
    """
    prompt = text.tokenizer.encode("Hello. " * WARM_TOKENS, add_special_tokens=False)[:WARM_TOKENS]
    for _ in engine.start(prompt, Decoding(2), frozenset()):
        pass


def _open(placement: Placement, folder: Path) -> tuple[Engine, TextPipeline]:
    with ThreadPoolExecutor(1) as pool:  # the text side is read while the weights are loaded
        reading = pool.submit(beside("tokenizer, at the same time", TextPipeline.read), folder)
        with span("read and compile"):
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
