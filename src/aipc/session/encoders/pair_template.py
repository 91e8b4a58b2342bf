"""A chat template that shows a query and a document, as rerankers made of decoders have one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aipc.artifact.sentence_model import pair_settings
from aipc.errors import GenerationError, PromptTooLong
from aipc.generate import ChatTemplate, Tokenizer
from aipc.runtimes.encoders.encoder import EncodedText


@dataclass(frozen=True)
class PairTemplate:
    """A chat template with places for a query and a document, as rerankers made of decoders have.

    Sentence-transformers gives such a template messages of the roles "query" and "document", with
    the model's default prompt as "system" before them.
    """

    template: ChatTemplate
    tokenizer: Tokenizer
    system: str
    adds_turn: bool
    """Whether the model's turn begins behind them."""
    longest: int | None

    def render(self, query: str, document: str) -> str:
        system = [{"role": "system", "content": self.system}] if self.system else []
        pair = [{"role": "query", "content": query}, {"role": "document", "content": document}]
        return self.template.render([*system, *pair], add_generation_prompt=self.adds_turn)

    def encode(self, query: str, document: str) -> EncodedText:
        """Both in tokens; of a document that is too long the end is left out.

        Raises:
            PromptTooLong: not even an empty document fits.
        """
        whole = kept = self._ids(query, document)
        while self.longest is not None and len(kept) > self.longest:
            if not document:
                what = f"the query alone takes {len(kept)} tokens, the model {self.longest}"
                raise PromptTooLong(what, "shorten it")
            document = self.tokenizer.without_end(document, len(kept) - self.longest)
            kept = self._ids(query, document)
        return EncodedText(kept, [0] * len(kept), len(whole) - len(kept))

    def _ids(self, query: str, document: str) -> list[int]:
        return self.tokenizer.encode(self.render(query, document), add_special_tokens=False)


def find_pair_template(
    folder: Path, tokenizer: Tokenizer, longest: int | None
) -> PairTemplate | None:
    """The chat template of ``folder``; None where it has none, or shows not both texts."""
    template = ChatTemplate.from_folder(folder, tokenizer.special_tokens)
    if template is None:
        return None
    found = PairTemplate(template, tokenizer, *pair_settings(folder), longest)
    try:
        shown = found.render("QUERY", "DOCUMENT")
    except GenerationError:  # one that takes no such roles
        return None
    return found if "QUERY" in shown and "DOCUMENT" in shown else None
