"""A model that is loaded, and asked through one class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aipc.errors import UsageError
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
from aipc.generate.thinking.mode import forbids_thinking
from aipc.options import from_mapping
from aipc.runtimes.base import Capabilities, Decoding, Engine
from aipc.runtimes.sampling import Sampling
from aipc.timing_spans import TimingSpan


class Session(Answerer):
    """A model on a device, ready to answer; made by `loading.load`, a context manager.

    Several threads may stream from one session at once where its engine allows it.
    """

    def __init__(
        self,
        engine: Engine,
        able: Capabilities,
        text: TextPipeline,
        facts: Mapping[str, Any],
        adapter: str = "",
    ) -> None:
        """``adapter`` is that of requests which name none."""
        self._engine = engine
        self._adapter = adapter
        self._able = able
        self._text = text
        self._facts = facts
        self.context = text.context
        """Tokens that a prompt and its answer may have together."""
        self.stages: tuple[TimingSpan, ...] = ()
        """Where the time of loading went."""

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
        adapter: str = "",
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
            adapter: the name of one of the ``adapters`` that the model was loaded with.
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
                adapter=adapter,
            )
        )

    def answer(self, request: GenerationRequest) -> Stream:
        """As `stream`, which makes such a request of its arguments; errors are the same."""
        thinks = not forbids_thinking(request)
        decoding = self._decoding(request.sampling, request.adapter, thinks=thinks)
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
            if decoding.adapter:
                raise UsageError(
                    "an adapter's probabilities of a prompt are told by no runtime",
                    "leave out echo, or merge the adapter: aipc convert MODEL --adapter DIR",
                )
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

    def _decoding(
        self, sampling: Mapping[str, Any], adapter: str = "", *, thinks: bool = True
    ) -> Decoding:
        asked = from_mapping(Sampling, sampling)
        decoding = resolve(asked, self._text.defaults, thinks=thinks).decoding
        self._able.check_decoding(decoding)
        self._text.check_bias(decoding.logit_bias)
        return replace(decoding, adapter=adapter or self._adapter)

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
