"""An ONNX Runtime GenAI folder, checked before any of it is given to the vendor's runtime.

A folder may come from anywhere, and what its files name is opened without a question by ONNX
Runtime: data outside the folder (CVE-2022-25882, CVE-2024-27318, and later by links), and
libraries, which are code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aipc.artifact.files import CONFIG, GENAI_CONFIG, ONNX_MODEL
from aipc.artifact.kv_cache import token_numbers
from aipc.artifact.onnx_file import ELEMENT_BYTES, External, References, read_references
from aipc.artifact.providers import PROVIDERS, Provider, normal_name
from aipc.artifact.rope_switch import rope_switch
from aipc.devices import Device
from aipc.errors import ArtifactError, EngineError, quoted
from aipc.runtimes.onnx.decoder import DecoderGraph, read_graph

_AGAIN = "fetch or convert the model again"
_OTHER_FILE = re.compile(
    r"path|folder|librar|(?<!pro)file|(^|_)libs?(_|$)|dir$|^load_config$|^enable_profiling$|xclbin",
    re.IGNORECASE,
)
"""Options whose values are files or libraries."""
MIXTURES = frozenset({"MoE", "QMoE"})
"""Operators that compute the experts which a token chooses."""
RECURRENT = frozenset({"CausalConvWithState", "LinearAttention", "GatedDeltaNet"})
"""Operators that keep a state instead of keys and values."""
_GENAI_SWITCH = {"phi3": 4096, "phimoe": 4096, "phi3small": 8192}
"""As ONNX Runtime GenAI's generators.cpp has it, for folders without a config.json."""


@dataclass(frozen=True)
class GenAIFolder:
    path: Path
    file: Path
    """The graph."""
    graph: DecoderGraph | None
    """Of a kind whose rows can each be at another place; None for all others."""
    context: int
    """Tokens that prompt and answer may have together."""
    vocabulary: int
    token_bytes: int
    """Memory that the key-value cache takes for each token of a sequence."""
    switch: int | None
    """See `rope_switch`."""
    rewinds: bool
    """Whether what it keeps can be cut back to an earlier token."""
    is_mixture: bool
    """Whether blocks have experts."""
    ends: tuple[int, ...]
    """Its eos_token_id, one or several."""
    providers: frozenset[str]
    """Those that it names, as in providers.toml; none for the CPU."""
    session: Mapping[str, Any]
    """Its session_options, without those of the providers."""

    def check_provider(self, provider: Provider) -> None:
        """Refuse to run it by a provider that it was not made for.

        Raises:
            ArtifactError: with the conversion that fits.
        """
        if not (self.providers or {""}) & set(provider.takes):
            made = " and ".join(sorted(self.providers)) or "CPU"
            raise ArtifactError(
                f"'{self.path}' was made for the provider {made}, not {provider.name}",
                f"convert the model with --for {provider.kind}",
            )

    def check_device(self, device: Device) -> None:
        """Refuse a device without the number format that the graph computes in.

        Raises:
            ArtifactError: with the conversion that fits.
        """
        is_half = self.graph is not None and self.graph.element == np.float16
        if is_half and not device.computes_in("fp16"):
            raise ArtifactError(
                f"'{self.path}' computes in fp16, which {device.name} does not",
                f"convert the model with --for {device.kind} --activations fp32",
            )

    def check_tokens(self, ids: Sequence[int]) -> None:
        """Refuse none, and ids that the vendor's kernels would read past their tables for.

        Raises:
            EngineError: naming the first such token.
        """
        if not ids:
            raise EngineError("the prompt has no tokens", "give at least one")
        for token in (min(ids), max(ids)):
            if not 0 <= token < self.vocabulary:
                raise EngineError(
                    f"the prompt has the token {token} and the model knows 0 to "
                    f"{self.vocabulary - 1:,}",
                    "use the model's own tokenizer",
                )

    def check_length(self, tokens: int) -> None:
        """Refuse more than the model's context holds.

        Raises:
            EngineError: ``tokens`` of prompt and answer are.
        """
        if tokens > self.context:
            raise EngineError(
                f"prompt and answer need {tokens:,} tokens and the model's context holds "
                f"{self.context:,}",
                "shorten the prompt or lower --max-new-tokens",
            )


def open_folder(path: Path) -> GenAIFolder:
    """Read and check what ``path`` holds; its weights stay unread.

    Raises:
        ArtifactError: no such folder, damaged files, or ones that name others outside it.
    """
    if not (path / GENAI_CONFIG).is_file():
        raise ArtifactError(f"'{path}' has no {GENAI_CONFIG}", "convert it with --runtime onnx")
    model = _section(_read_json(path / GENAI_CONFIG), "model", path)
    decoder = _section(model, "decoder", path)
    _refuse_other_models(path, model, decoder)
    _refuse_reaching_options(path, decoder)
    file = _own_file(path, str(decoder.get("filename", "")))
    references = read_references(file)
    _check_references(path, references)
    return GenAIFolder(
        path=path,
        file=file,
        context=_number(path, model, "context_length"),
        vocabulary=_number(path, model, "vocab_size"),
        token_bytes=_token_bytes(path, decoder, references),
        graph=read_graph(decoder, references),
        switch=_switch(path, model),
        rewinds=not RECURRENT & references.operators,
        is_mixture=bool(MIXTURES & references.operators),
        ends=_ends(model),
        providers=frozenset(_providers(decoder)),
        session=_session(decoder),
    )


def own_graph(path: Path) -> Path:
    """The graph of a model that is no decoder, checked as `open_folder` checks one.

    Raises:
        ArtifactError: there is none, or it is damaged or refers to files outside the folder.
    """
    file = _own_file(path, ONNX_MODEL)
    _check_references(path, read_references(file))
    return file


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"'{file}' can't be read ({error})", _AGAIN) from error
    if not isinstance(content, dict):
        raise ArtifactError(f"'{file}' holds no JSON object", _AGAIN)
    return content


def _section(content: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    section = content.get(name)
    if not isinstance(section, dict):
        raise ArtifactError(f"'{path / GENAI_CONFIG}' has no section '{name}'", _AGAIN)
    return section


def _number(path: Path, section: Mapping[str, Any], name: str) -> int:
    value = section.get(name)
    if type(value) is not int or value < 1:
        raise ArtifactError(f"'{path / GENAI_CONFIG}' states {name} as {value!r}", _AGAIN)
    return value


def _refuse_other_models(path: Path, model: Mapping[str, Any], decoder: Mapping[str, Any]) -> None:
    """Only a decoder in one file: no images, no speech, no pipelines, no drafts."""
    parts = [name for name, value in model.items() if isinstance(value, dict)]
    parts += [name for name in ("pipeline", "shared_initializers") if decoder.get(name)]
    for part in parts:
        if part != "decoder":
            raise ArtifactError(
                f"'{path / GENAI_CONFIG}' describes a model with '{part}', not opened here",
                "choose a text model in one file",
            )


def _refuse_reaching_options(path: Path, decoder: Mapping[str, Any]) -> None:
    """No option that names a file, a library or an address in memory.

    A provider that is known here keeps the options declared for it; others are never used.
    """
    for provider, name, value in _options(decoder):
        declared = next((known.options for known in PROVIDERS if known.name == provider), None)
        is_file = _OTHER_FILE.search(name) or "/" in str(value) or "\\" in str(value)
        if is_file or (declared is not None and name not in declared):
            raise ArtifactError(
                f"'{path / GENAI_CONFIG}' sets {name}, which may name a file or a library to load",
                "remove that line if you trust the rest of the folder",
            )


def _options(decoder: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(provider, name, value) of every option; no provider for the session's and the runs'."""
    session = dict(decoder.get("session_options") or {})
    listed = session.pop("provider_options", [])
    for name, value in [*session.items(), *(decoder.get("run_options") or {}).items()]:
        yield "", name, value
    for entry in listed:
        for provider, options in entry.items():
            for name, value in options.items():
                yield normal_name(provider), name, value


def _providers(decoder: Mapping[str, Any]) -> Iterator[str]:
    for entry in (decoder.get("session_options") or {}).get("provider_options", []):
        for name in entry:
            if normal_name(name) != "CPU":
                yield normal_name(name)


def _session(decoder: Mapping[str, Any]) -> Mapping[str, Any]:
    left_out = {"provider_options", "log_id"}
    stated = decoder.get("session_options") or {}
    return {name: value for name, value in stated.items() if name not in left_out}


def _own_file(path: Path, name: str) -> Path:
    """The file of that name, which has to lie in the folder itself.

    A link may lead out of it, and a second name of the same file (a hard link) may be
    somebody's who can't read it otherwise.
    """
    file = path / name
    plain = name not in {"", ".", ".."} and not set(name) & set("/\\:\0")
    if not plain:
        raise ArtifactError(f"'{path}' refers to {quoted(name)}, outside its folder", _AGAIN)
    if file.is_symlink():
        raise ArtifactError(
            f"'{file}' is a link to another place", f"copy what it stands for: cp -rL '{path}' DIR"
        )
    if not file.is_file():
        raise ArtifactError(f"'{path}' has no file {quoted(name)}", _AGAIN)
    if file.stat().st_nlink > 1:
        raise ArtifactError(
            f"'{file}' has a second name elsewhere (a hard link)", f"copy it: cp -r '{path}' DIR"
        )
    return file


def _check_references(path: Path, references: References) -> None:
    if "EPContext" in references.operators:
        raise ArtifactError(
            f"'{path}' holds a graph compiled for one device by another tool",
            "convert the model with aipc",
        )
    sizes = {
        location: _own_file(path, location).stat().st_size
        for location in {external.location for external in references.external}
    }
    for external in references.external:
        _check_extent(path, external, sizes[external.location])


def _check_extent(path: Path, external: External, size: int) -> None:
    end = external.offset + (external.length or 0)
    if external.offset < 0 or (external.length or 0) < 0 or end > size:
        raise ArtifactError(
            f"'{path / external.location}' has {size:,} bytes and a tensor that ends at {end:,}",
            _AGAIN,
        )


def _token_bytes(path: Path, decoder: Mapping[str, Any], references: References) -> int:
    pattern = str((decoder.get("inputs") or {}).get("past_key_names", "past_key_values.%d.key"))
    layers = range(_number(path, decoder, "num_hidden_layers"))
    names = (pattern.replace("%d", str(layer)) for layer in layers)  # some may not attend
    elements = [references.input_types[name] for name in names if name in references.input_types]
    if not elements or elements[0] not in ELEMENT_BYTES:
        raise ArtifactError(f"the model in '{path}' has no input '{pattern}'", _AGAIN)
    sizes = (_number(path, decoder, name) for name in ("num_key_value_heads", "head_size"))
    return token_numbers(len(elements), *sizes) * ELEMENT_BYTES[elements[0]]


def _ends(model: Mapping[str, Any]) -> tuple[int, ...]:
    stated = model.get("eos_token_id", ())
    return (stated,) if isinstance(stated, int) else tuple(stated)


def _switch(path: Path, model: Mapping[str, Any]) -> int | None:
    if (path / CONFIG).is_file():
        return rope_switch(_read_json(path / CONFIG))
    return _GENAI_SWITCH.get(str(model.get("type")))
