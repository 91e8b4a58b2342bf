"""Text on one side, token ids on the other: what an artifact has for both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aipc.artifact.config import (
    read_context,
    read_generation_config,
    read_stop_ids,
    read_vocabulary_size,
)
from aipc.artifact.files import CONFIG
from aipc.errors import ArtifactError, GenerationError, UsageError, quoted
from aipc.generate.prompt import (
    Prompt,
    WrittenPrompt,
    encode_middle,
    encode_prompt,
    middle_ends,
    write_prompt,
)
from aipc.generate.request import GenerationRequest
from aipc.generate.sampling import SamplingDefaults
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.constraint import Enforced
from aipc.generate.structured.tool_format import format_of
from aipc.generate.structured.tools import Toolbox, choose_tools
from aipc.generate.template import ChatTemplate
from aipc.generate.thinking.marks import ThinkingMarks, marks_of_tokens
from aipc.generate.thinking.mode import DEFAULT_MODE, choose_mode, refuse_thinking
from aipc.generate.thinking.plan import ThinkingPlan
from aipc.generate.tokenizer import Tokenizer
from aipc.runtimes.base import Constraint

if TYPE_CHECKING:
    from typing_extensions import Self


class PreparedPrompt(NamedTuple):
    """What an engine and the reader of its answer need; the reader of calls serves one answer."""

    tokens: list[int]
    enforced: Enforced | None
    """What the answer must match, once thinking is over."""
    reader: CallReader | None
    thinking: ThinkingPlan | None
    """None where nothing that the model writes is looked at so."""

    @property
    def constraint(self) -> Constraint | None:
        return None if self.enforced is None else self.enforced.constraint


@dataclass(frozen=True)
class TextPipeline:
    """Tokenizer, chat template, sampling defaults, the ids that end an answer, and the context."""

    tokenizer: Tokenizer
    template: ChatTemplate | None
    defaults: Sequence[SamplingDefaults]
    """The first that states a value counts."""
    stop_ids: frozenset[int]
    context: int
    vocabulary: int | None = None
    """Rows of the network's embedding; None where nothing states them."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        tokenizer = Tokenizer.from_folder(folder)
        return cls(
            tokenizer,
            ChatTemplate.from_folder(folder, tokenizer.special_tokens),
            (SamplingDefaults.of_config(read_generation_config(folder)),),
            read_stop_ids(folder),
            _context(folder),
            read_vocabulary_size(folder),
        )

    def encode(self, prompt: Prompt) -> list[int]:
        """A prompt's token ids; errors are those of `prepare`."""
        tokens = encode_prompt(prompt, self.tokenizer, self.template)
        self._check_known(tokens)
        return tokens

    @cached_property
    def marks(self) -> ThinkingMarks | None:
        """What stands around the model's thinking, by its chat template or its vocabulary."""
        if self.template is None:
            return None
        return self.template.marks or marks_of_tokens(self.tokenizer.id_of)

    def prepare(self, request: GenerationRequest) -> PreparedPrompt:
        """The prompt's token ids, what the answer must match, and what reads it.

        Raises:
            UsageError: tools or a schema that can't be offered or enforced, or an end of theirs
                that is to be ignored; a suffix for a model that can't fill in the middle, or
                thinking of one that can't think.
            GenerationError: as `write_prompt`.
        """
        form = self.template.tool_format if self.template else format_of(None)
        toolbox = choose_tools(request.tools, request.tool_choice)
        enforced = toolbox.enforced(form, request.schema, strict=request.strict)
        if enforced and request.ignore_eos:
            raise UsageError(
                "an answer that ignores its end can't be held to a schema or a call",
                "leave ignore_eos out",
            )
        tokens, thinking = self._tokens(request, toolbox, enforced)
        self._check_known(tokens, is_written_here=not request.prompt_ids)
        return PreparedPrompt(tokens, enforced, toolbox.reader(form), thinking)

    def ends(self, request: GenerationRequest) -> frozenset[int]:
        """The token ids that end an answer to ``request``."""
        if request.ignore_eos:
            return frozenset()
        return self.stop_ids | (middle_ends(self.tokenizer) if request.suffix else frozenset())

    def check_bias(self, biases: Sequence[tuple[int, float]]) -> None:
        """Refuse a bias of a token that the model has not.

        Raises:
            UsageError: naming the token.
        """
        size = max(self.vocabulary or 0, self.tokenizer.vocabulary_size)
        for token, _ in biases:
            if not 0 <= token < size:
                raise UsageError(
                    f"logit_bias names the token {token}", f"the model knows 0 to {size - 1:,}"
                )

    def _tokens(
        self, request: GenerationRequest, tools: Toolbox, enforced: Enforced | None
    ) -> tuple[list[int], ThinkingPlan | None]:
        if self.template is None or request.raw or request.prompt_ids or request.suffix:
            refuse_thinking(request)
            mode = DEFAULT_MODE
        else:
            mode = choose_mode(request, self.template, is_constrained=enforced is not None)
        if request.prompt_ids:
            return list(request.prompt_ids), None
        if request.suffix:
            return encode_middle(request.prompt or "", request.suffix, self.tokenizer), None
        written = write_prompt(
            (request.prompt or "") if request.messages is None else request.messages,
            self.template,
            raw=request.raw,
            tools=tools,
            continue_final=request.continue_final_message,
            mode=mode,
        )
        return self._encoded(written, request, tools)

    def _encoded(
        self, written: WrittenPrompt, request: GenerationRequest, tools: Toolbox
    ) -> tuple[list[int], ThinkingPlan | None]:
        """A forced call's opening comes behind thinking, or else behind the prompt."""
        opening = self.template.tool_format.opening if self.template and tools.forced else ""
        is_open = self.marks is not None and self.marks.is_open(written.text)
        if opening and not is_open:
            written = replace(written, text=written.text + opening)
        tokens = written.encode(self.tokenizer)
        if self.marks is None or not written.is_rendered:
            return tokens, None
        plan = ThinkingPlan.of(
            self.marks,
            self.tokenizer,
            is_open=is_open,
            budget=request.thinking_budget,
            opening=opening,
        )
        return tokens, plan

    def _check_known(self, tokens: Sequence[int], *, is_written_here: bool = True) -> None:
        """Refuse a token that the embedding has no row for: kernels answer nonsense to it."""
        last = max(tokens, default=0)
        if self.vocabulary is not None and last >= self.vocabulary:
            raise GenerationError(
                f"the prompt has the token {quoted(self.tokenizer.text_of(last))} ({last}), and the"
                f" model knows 0 to {self.vocabulary - 1:,}",
                "its tokenizer is another model's: convert it again with its own tokenizer files"
                if is_written_here
                else "make the ids with this model's tokenizer",
            )


def _context(folder: Path) -> int:
    """The model's longest sequence in tokens, prompt and answer together."""
    stated = read_context(folder)
    if stated is None:
        raise ArtifactError(
            f"'{folder / CONFIG}' does not state max_position_embeddings",
            "convert the model again",
        )
    return stated
