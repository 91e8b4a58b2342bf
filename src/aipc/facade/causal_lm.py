"""A `Session` that looks like one of transformers' models: token ids in tensors, in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aipc.errors import UsageError
from aipc.facade.generation import GenerateArguments, check_names, read_order
from aipc.facade.pretrained import read_config, read_generation_config
from aipc.generate import Stream
from aipc.session.session import Session

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PretrainedConfig
    from typing_extensions import Self
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
from aipc.generate import Text

_AT_ONCE = 64
"""Rows of a batch, a thread each."""


class Watcher:
    """Reads answers, and tells transformers' streamer and stopping criteria; both may be None."""

    def __init__(self, streamer: Any, criteria: Any) -> None:
        self._streamer = streamer
        self._criteria = list(criteria or ())

    def begin(self, prompt: torch.Tensor) -> None:
        if self._streamer is not None:
            self._streamer.put(prompt.cpu())

    def read(self, row: Sequence[int], stream: Stream) -> list[int]:
        """The ids of the answer to ``row``, to its end or until a criterion is met.

        Raises:
            EngineError: as ``stream``.
        """
        answer: list[int] = []
        try:
            for event in stream:
                for token in event.tokens if isinstance(event, Text) else ():
                    answer.append(token)
                    if self._is_enough(row, answer):
                        return answer
        finally:
            stream.close()
        return answer

    def end(self) -> None:
        if self._streamer is not None:
            self._streamer.end()

    def _is_enough(self, row: Sequence[int], answer: Sequence[int]) -> bool:
        import torch

        if self._streamer is not None:
            self._streamer.put(torch.tensor(answer[-1:]))
        if not self._criteria:
            return False
        so_far = torch.tensor([[*row, *answer]])
        return any(bool(torch.as_tensor(met(so_far, None)).all()) for met in self._criteria)


def check_prompt(prompt: torch.Tensor | None, token_types: torch.Tensor | None) -> torch.Tensor:
    """The prompt as it was given.

    Raises:
        UsageError: there is none, or token types that are not all 0.
    """
    if prompt is None or prompt.ndim != 2 or 0 in prompt.shape:
        raise UsageError(
            "generate needs a prompt", "give input_ids, int64 [batch, length] with length > 0"
        )
    if token_types is not None and bool(token_types.any()):
        raise UsageError("generate can't honor token_type_ids here", "leave them out")
    return prompt


def prompt_rows(prompt: torch.Tensor, mask: torch.Tensor | None) -> list[list[int]]:
    """The token ids of each row without its padding, where ``mask`` is 0.

    Raises:
        UsageError: ``mask`` is of another shape.
    """
    if mask is None:
        return [list(row) for row in prompt.tolist()]
    if mask.shape != prompt.shape:
        raise UsageError(
            f"attention_mask is {list(mask.shape)} and input_ids {list(prompt.shape)}",
            "give both of the same shape",
        )
    return [row[kept.bool()].tolist() for row, kept in zip(prompt, mask, strict=True)]


def joined(prompt: torch.Tensor, answers: list[list[int]], pad_id: int) -> torch.Tensor:
    """Each row of ``prompt`` and its answer, the shorter ones filled up with ``pad_id``."""
    import torch

    longest = max(map(len, answers))
    filled = [answer + [pad_id] * (longest - len(answer)) for answer in answers]
    written = torch.tensor(filled, dtype=prompt.dtype, device=prompt.device)
    return torch.cat([prompt, written], dim=1)


def draw_seeds(count: int) -> list[int]:
    """Drawn from torch's generator: `transformers.set_seed` repeats a sample here too."""
    import torch

    return [int(seed) for seed in torch.randint(2**32, (count,), dtype=torch.int64)]


class CausalLM:
    """What transformers' pipelines and programs ask of a model that writes text.

    ``generate`` runs on the session's device.  Tensors stay where torch has them: ``device``
    is torch's CPU, and the answer lies on the device that the prompt lies on.
    """

    main_input_name = "input_ids"
    input_modalities = "text"
    output_modalities = "text"

    def __init__(self, session: Session, config: PretrainedConfig | None = None) -> None:
        """Take ``session`` over; ``config`` is the artifact's own where it is None.

        Raises:
            ArtifactError: a config.json that transformers can't read, or ``config`` of
                another kind of network.
        """
        import torch
        from transformers import GenerationConfig

        self.session = session
        self.facts = session.facts
        """What runs, where, how and why."""
        self.name_or_path = str(session.facts["artifact"])
        """The artifact's folder, which AutoTokenizer.from_pretrained opens."""
        self.config = read_config(self.name_or_path, config)
        self.generation_config = read_generation_config(self.name_or_path)
        self.device = torch.device("cpu")
        self._blank = frozenset(GenerationConfig().to_dict())
        self._own = _stated(self.generation_config)

    @classmethod
    def wrap(cls, session: Session, config: PretrainedConfig | None = None) -> Self:
        """A model of a subclass named as the network is ("Phi3ForCausalLM").

        transformers tells models apart by the name of their class, and complains of one
        that it does not know.
        """
        try:
            model = cls(session, config)
        except BaseException:
            session.close()
            raise
        names = model.config.architectures or [cls.__name__]
        model.__class__ = type(names[0], (cls,), {"__module__": cls.__module__})
        return model

    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        streamer: Any = None,
        stopping_criteria: Any = None,
        **parameters: Any,
    ) -> torch.Tensor:
        """Answer each row of ``input_ids``.

        Args:
            inputs: the same as ``input_ids``.
            generation_config: transformers' own; goes before the model's.
            input_ids: int64 [batch, length].
            attention_mask: [batch, length], 0 where a row is padded, on either side.
            token_type_ids: all 0, as tokenizers give them.
            streamer: is given the prompt, then each token; one prompt at a time.
            stopping_criteria: transformers' own, asked after each token about
                int64 [1, tokens so far], with ``scores`` None.
            parameters: do_sample, temperature, top_p, top_k, min_p, repetition_penalty,
                max_new_tokens, max_length, eos_token_id, pad_token_id, stop_strings.

        Returns:
            int64 [batch, length + longest answer]: the prompts as given, then the answers.

        Raises:
            UsageError: an argument that can't be honored.
            AipcError: as `Session.stream_ids`.
        """
        prompt = check_prompt(inputs if input_ids is None else input_ids, token_type_ids)
        order = self._order(generation_config, parameters, prompt.shape[1])
        rows = prompt_rows(prompt, attention_mask)
        if streamer is not None and len(rows) > 1:
            raise UsageError(
                f"a streamer takes one prompt at a time, not {len(rows)}", "leave it out"
            )
        watcher = Watcher(streamer, stopping_criteria)
        watcher.begin(prompt)
        try:
            answers = self._answer_all(rows, order, watcher)
        finally:
            watcher.end()
        return joined(prompt, answers, order.pad_id)

    def can_generate(self) -> bool:
        return True

    def eval(self) -> Self:
        """Itself: it is never in training."""
        return self

    def to(self, *where: Any, **options: Any) -> Self:
        """Itself, for a device of torch's: the model stays where it was placed.

        Raises:
            UsageError: a type, or OpenVINO's name of a device.
        """
        import torch

        given_parameters = [*where, *options.values()]
        try:
            for one in given_parameters:
                torch.device(one)
        except (TypeError, RuntimeError) as error:
            raise UsageError(
                f"a model that is loaded can't be moved to {given_parameters}",
                "say device=… to from_pretrained, which places it",
            ) from error
        return self

    def close(self) -> None:
        """Free the model and the device."""
        self.session.close()

    def _order(
        self, given: GenerationConfig | None, parameters: Mapping[str, Any], length: int
    ) -> GenerateArguments:
        check_names(parameters, self._blank)
        stated = _stated(self.generation_config) | ({} if given is None else _stated(given))
        given_parameters = {
            name: stated[name] for name in stated if stated[name] != self._own.get(name)
        }
        return read_order({**given_parameters, **parameters}, self._own, length)

    def _answer_all(
        self, rows: Sequence[Sequence[int]], order: GenerateArguments, watcher: Watcher
    ) -> list[list[int]]:
        """The ids of each row's answer; all rows at once where the engine can."""
        seeds = draw_seeds(len(rows)) if order.is_sampled else [None] * len(rows)
        streams = [self._start(row, order, seed) for row, seed in zip(rows, seeds, strict=True)]
        if len(rows) == 1 or not self.session.concurrent:
            return list(map(watcher.read, rows, streams))
        with ThreadPoolExecutor(min(len(rows), _AT_ONCE)) as pool:
            try:
                return list(pool.map(watcher.read, rows, streams))
            except BaseException:
                for stream in streams:
                    stream.cancel()
                raise

    def _start(self, row: Sequence[int], order: GenerateArguments, seed: int | None) -> Stream:
        return self.session.stream_ids(
            row, stop=order.stop, stop_ids=order.stop_ids, seed=seed, **order.sampling
        )


def _stated(config: GenerationConfig) -> dict[str, Any]:
    """What a generation config says beyond transformers' defaults."""
    return {name: value for name, value in config.to_diff_dict().items() if value is not None}
