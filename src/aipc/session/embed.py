"""From the name of a model that makes embeddings to one that is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aipc import telemetry
from aipc.artifact.sentence_model import makes_embeddings, read_sentence_model
from aipc.errors import ArtifactError
from aipc.models import names
from aipc.models.source import ArtifactSource
from aipc.progress import Notify
from aipc.session.convert import log

if TYPE_CHECKING:
    from aipc.runtimes.embedder import Embedder


def embedder(
    name: str,
    *,
    device: str = "auto",
    properties: Mapping[str, str] | None = None,
    notify: Notify = log,
) -> Embedder:
    """Load a model whose `embed` makes float32 [texts, width] of texts.

    Args:
        name: a folder as ``optimum-cli export openvino --task feature-extraction`` writes it.
        device: auto (the CPU, which is quick enough for models of this kind), cpu, gpu, gpu.N.
        properties: OpenVINO's own, such as {"NUM_STREAMS": "1"}.
        notify: called with one line: what a user should know.

    Raises:
        ArtifactError: the folder holds no such model.
        AipcError: as `aipc.runtimes.openvino.embedding.OpenVINOEmbedder`.
    """
    telemetry.switch_off()
    source = names.resolve(name)
    if not is_embedder(name) or not isinstance(source, ArtifactSource):
        raise ArtifactError(
            f"'{name}' is no folder of an OpenVINO model that makes embeddings",
            "make one with `optimum-cli export openvino --task feature-extraction`",
        )
    from aipc.runtimes.openvino.embedding import OpenVINOEmbedder

    note = read_sentence_model(source.path).note
    if note:
        notify(note)
    return OpenVINOEmbedder(source.path, device, properties or {})


def is_embedder(name: str) -> bool:
    """Whether ``name`` is a folder whose model makes embeddings and writes no text.

    Raises:
        ModelError: it leads to no usable model.
    """
    source = names.resolve(name)
    return isinstance(source, ArtifactSource) and makes_embeddings(source.path)
