"""The model "aipc" of EleutherAI's evaluation harness: its tasks, on any runtime and device here.

    python -m aipc.measure.quality.lm_eval run --model aipc --model_args model=NAME --tasks TASKS

takes everything that ``lm_eval`` takes.  A Python program imports this module, and the harness
then knows the model.  The extra "eval" (docs/install.md) brings the harness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from aipc.errors import UsageError
from aipc.generate import GREEDY, SAMPLED, TextPipeline
from aipc.measure.quality.divergence import continued
from aipc.measure.quality.reference import Subject
from aipc.runtimes.base import Scorer
from aipc.session import loading
from aipc.session.place import SessionOptions
from aipc.session.prepare import prepare_session
from aipc.session.session import Session

LONGEST_ANSWER = 256
"""Tokens, where a task does not say; the harness's own models have the same."""


@register_model("aipc")
class AipcLM(TemplateLM):  # type: ignore[misc]  # the harness has no types
    """One model, loaded when it is first needed: to answer, to score, or both."""

    def __init__(
        self,
        model: str | None = None,
        device: str | None = None,
        runtime: str = "auto",
        max_length: int | None = None,
        batch_size: int | str | None = None,  # noqa: ARG002 - the harness gives these always
        max_batch_size: int | None = None,  # noqa: ARG002
        **unknown: Any,
    ) -> None:
        """``model``, ``device`` and ``runtime`` are `aipc.load`'s; the model is fetched and made.

        ``max_length`` is the most tokens of a text that are seen at once; None: the context.

        Raises:
            AipcError: as `aipc.load`.
        """
        super().__init__()
        if unknown:
            raise UsageError(
                f"--model_args has no '{min(unknown)}'",
                "known: model, runtime, max_length; and --device",
            )
        self._prepared = prepare_session(model, SessionOptions(device or "auto", runtime))
        self._text = TextPipeline.read(self._prepared.folder)
        self.max_length = max_length or self._prepared.placement.context(self._text.context)

    @property
    def eot_token_id(self) -> int:
        return min(self._text.stop_ids)

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without context: the bos, else what ends an answer."""
        bos = self._text.tokenizer.bos_token
        found = None if bos is None else self._text.tokenizer.id_of(bos)
        return self.eot_token_id if found is None else found

    @property
    def tokenizer_name(self) -> str:
        return self._prepared.folder.name

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        **_: Any,
    ) -> list[int]:
        """As the harness wants it: no second bos where a chat template has written one."""
        tokenizer = self._text.tokenizer
        if add_special_tokens is None:
            add_special_tokens = not string.startswith(tokenizer.bos_token or "\0")
        return tokenizer.encode(string, add_special_tokens=add_special_tokens)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        if self._text.template is None:
            raise UsageError(
                f"{self.tokenizer_name} has no chat template", "leave out --apply_chat_template"
            )
        if not add_generation_prompt:
            raise UsageError(
                "aipc's templates begin an answer themselves", "leave its beginning to the model"
            )
        return self._text.template.render(chat_history)

    def loglikelihood_rolling(
        self,
        requests: Sequence[Any],
        disable_tqdm: bool = False,  # noqa: ARG002 - the harness's
    ) -> list[float]:
        return [self._rolling(request.args[0]) for request in requests]

    def generate_until(
        self,
        requests: Sequence[Any],
        disable_tqdm: bool = False,  # noqa: ARG002 - the harness's
    ) -> list[str]:
        return [self._answer(*request.args) for request in requests]

    def _loglikelihood_tokens(
        self,
        requests: Iterable[tuple[Any, list[int], list[int]]],
        **_: Any,
    ) -> list[tuple[float, bool]]:
        return [self._continued(context, following) for _, context, following in requests]

    def _continued(self, context: list[int], following: list[int]) -> tuple[float, bool]:
        room = self.max_length + 1 - len(following)
        if room < 1:
            raise UsageError(
                f"a continuation of {len(following):,} tokens is longer than the context of "
                f"{self.max_length:,}",
                "raise max_length",
            )
        found = continued(self._scorer, context[-room:], following)
        return found.logprob, found.greedy

    def _rolling(self, text: str) -> float:
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text, add_special_tokens=False),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return sum(self._continued(*pair)[0] for pair in map(make_disjoint_window, windows))

    def _answer(self, context: str, wanted: Mapping[str, Any]) -> str:
        given = dict(wanted)
        until = given.pop("until", None) or []
        longest = int(given.pop("max_gen_toks", LONGEST_ANSWER))
        prompt = self.tok_encode(context)[-max(self.max_length - longest, 1) :]
        stops = [until] if isinstance(until, str) else until
        stops = [stop for stop in stops if stop]
        events = self._session.stream_ids(
            prompt, stop=stops, max_new_tokens=longest, **_sampling(given)
        )
        return "".join(event.text for event in events)

    @cached_property
    def _session(self) -> Session:
        return loading.open_session(self._prepared)

    @cached_property
    def _scorer(self) -> Scorer:
        plan = self._prepared.placement.plan
        subject = Subject(self._prepared.folder, plan.runtime, plan.device, plan.properties)
        if not subject.has_logits:
            raise UsageError(
                f"{plan.device} gives no scores, so only tasks that generate can be run on it",
                "choose others, or another device with device=cpu",
            )
        return subject.scorer()


def _sampling(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a task asks for, and nothing of what the model's makers state."""
    asked = {name: value for name, value in given.items() if value is not None}
    if asked.pop("do_sample", False):
        return {**GREEDY, "temperature": 1.0, **asked}
    return {**GREEDY, **{name: value for name, value in asked.items() if name not in SAMPLED}}


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
