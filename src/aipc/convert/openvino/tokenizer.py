"""Tokenizer and detokenizer as OpenVINO models, for the vendor's own tools."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from aipc.artifact.files import (
    OPENVINO_DETOKENIZER,
    OPENVINO_TOKENIZER,
    TOKENIZER,
    TOKENIZER_CONFIG,
)
from aipc.convert.openvino.ir import save
from aipc.disk import scratch_of_libraries
from aipc.errors import AipcError, ConversionError
from aipc.records import read_object

_UNLIMITED = int(1e30)  # transformers' own word for "no longest text"
_PARSER = "openvino_tokenizers.hf_parser"


def write_tokenizer(folder: Path, whole_texts: WholeTexts | None = None) -> None:
    """Convert the ``tokenizer.json`` in ``folder``; write both models beside it.

    Raises:
        ConversionError: when OpenVINO Tokenizers can't convert this tokenizer.
    """
    try:
        both = _convert(FastTokenizer(folder, whole_texts))
    except AipcError:
        raise
    except Exception as error:  # the converter raises errors of any kind
        raise ConversionError(
            "OpenVINO Tokenizers can't convert this model's tokenizer",
            "run with --debug for its reason; the model can't be made an OpenVINO artifact",
        ) from error
    for model, name in zip(both, (OPENVINO_TOKENIZER, OPENVINO_DETOKENIZER), strict=True):
        save(model, folder / name)


@dataclass(frozen=True)
class WholeTexts:
    """Of a network that reads whole texts: what else its tokenizer has to give."""

    longest: int
    """Tokens after which the vendor's own tools cut a text."""
    has_types: bool
    """Whether the network is told which of a pair's texts each token is of."""


class FastTokenizer:
    """What OpenVINO Tokenizers reads of transformers' ``PreTrainedTokenizerFast``.

    That class is a shell around the package tokenizers, which has all that the conversion needs;
    transformers itself (129 MB) would be installed for nothing else.
    """

    is_fast = True

    def __init__(self, folder: Path, whole_texts: WholeTexts | None = None) -> None:
        from tokenizers import AddedToken, Tokenizer, processors

        config = read_object(folder / TOKENIZER_CONFIG)
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self.model_input_names: tuple[str, ...] = ("input_ids", "attention_mask")
        self.model_max_length = _UNLIMITED
        if whole_texts is not None:
            self.model_max_length = whole_texts.longest
            if whole_texts.has_types:
                self.model_input_names = ("input_ids", "token_type_ids", "attention_mask")
        padding = self._tokenizer.padding or {}
        self.padding_side = padding.get("direction", "right")
        self.truncation_side = (self._tokenizer.truncation or {}).get("direction", "right")
        self.clean_up_tokenization_spaces = bool(config.get("clean_up_tokenization_spaces", False))
        self.bos_token = _content(config.get("bos_token"))
        self.eos_token = _content(config.get("eos_token"))
        self.unk_token = _content(config.get("unk_token"))
        self.pad_token = _content(config.get("pad_token")) or padding.get("pad_token")
        stated = (self.bos_token, self.eos_token, self.unk_token, self.pad_token)
        known = {token.content for token in self.added_tokens_decoder.values()}
        lacking = [token for token in dict.fromkeys(stated) if token and token not in known]
        self._tokenizer.add_tokens([AddedToken(token, special=True) for token in lacking])
        if self._tokenizer.post_processor is None:
            self._tokenizer.post_processor = processors.TemplateProcessing(
                single="$A:0", pair="$A:0 $B:1", special_tokens=[]
            )

    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]:
        """Id → ``tokenizers.AddedToken``, by rising id."""
        return dict(sorted(self._tokenizer.get_added_tokens_decoder().items()))

    @property
    def bos_token_id(self) -> int | None:
        return self._id(self.bos_token)

    @property
    def eos_token_id(self) -> int | None:
        return self._id(self.eos_token)

    @property
    def unk_token_id(self) -> int | None:
        return self._id(self.unk_token)

    @property
    def pad_token_id(self) -> int | None:
        return self._id(self.pad_token)

    def get_vocab(self) -> dict[str, int]:
        vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return vocabulary

    def save_pretrained(self, folder: str) -> None:
        self._tokenizer.save(str(Path(folder, TOKENIZER)))

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self._tokenizer.token_to_id(token)


def _content(token: Any) -> str | None:
    """A special token of tokenizer_config.json: its text, or an object that has it."""
    text = token["content"] if isinstance(token, dict) else token
    return str(text) if text else None


def _convert(tokenizer: FastTokenizer) -> tuple[Any, Any]:
    """What ``openvino_tokenizers.convert_tokenizer`` does with a fast tokenizer, of our class."""
    import openvino as ov
    from openvino_tokenizers import utils

    wanted = utils.TokenzierConversionParams(with_detokenizer=True)
    with scratch_of_libraries(ConversionError):
        both = _parser().convert_fast_tokenizer(tokenizer, wanted)
        for model in both:
            utils.update_rt_info_with_params(model, tokenizer, wanted)
            utils.update_rt_info_with_environment(model)
            utils.update_rt_info_with_processor_template(model, tokenizer)
    encode, decode = both
    ids = ov.Type.i64
    return utils.change_outputs_type(encode, ids), utils.change_inputs_type(decode, ids)


def _parser() -> ModuleType:
    """The converter's parser of fast tokenizers, which wants transformers and does without."""
    import importlib

    if "transformers" in sys.modules:
        return importlib.import_module(_PARSER)
    with _transformers_named():
        parser = importlib.import_module(_PARSER)
    del sys.modules[_PARSER]  # who has transformers gets the parser anew, with the real one
    return parser


@contextmanager
def _transformers_named() -> Iterator[None]:
    """For the time of an import: modules with the five names that the parser imports."""
    names: dict[str, dict[str, Any]] = {
        "transformers": {"PreTrainedTokenizerBase": object, "PreTrainedTokenizerFast": object},
        "transformers.convert_slow_tokenizer": {"import_protobuf": None},
        "transformers.utils": {},
        # It asks whether BPE is cleaned up, which transformers has not done since 5.7.
        "transformers.utils.versions": {"require_version": lambda requirement: None},  # noqa: ARG005
    }
    for name, members in names.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
