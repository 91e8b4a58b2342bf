"""What a conversion lost of a model that reads whole texts: its vectors or scores, and float ones.

The float side is the same model written in 16 bits and computed in float32, in a folder that is
removed; its graph is compared with transformers' in tests/convert/test_encoders.py.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aipc.artifact.artifact import read_artifact
from aipc.artifact.sentence_model import read_sentence_model, task_of
from aipc.checkpoint import Checkpoint
from aipc.convert.plans.planning import plan_conversion
from aipc.convert.quality import ReadingQuality
from aipc.convert.quantizers.attention import sigmoid
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.disk import scratch
from aipc.measure.quality.passages import read_passages
from aipc.progress import Progress, silent
from aipc.runtimes.openvino.scorer import EXACT
from aipc.session.encoders.reader import ReaderOptions, TextReader

TEXTS = 32
_LENGTHS = (4, 8, 16, 32, 64)
"""Words; texts that are too long for a model are cut to what it takes."""
_QUERY_WORDS = 8


def check_reader(
    checkpoint: Checkpoint, artifact: Path, progress: Progress = silent
) -> ReadingQuality:
    """Compare what the two make of the same texts, on the CPU.

    Raises:
        AipcError: the artifact, or the model in 16 bits, can't be made, loaded or run.
    """
    texts = some_texts()
    with scratch() as folder:
        progress("writing the float model", 0, 0)
        target = find_target("cpu", read_artifact(artifact).target)
        plan_conversion(checkpoint, Recipe("fp16"), target).write(folder)
        progress("reading texts with both", 0, 0)
        wanted, found = _made(folder, texts), _made(artifact, texts)
    if task_of(artifact) == "scores":
        difference = float(np.abs(sigmoid(found) - sigmoid(wanted)).max())
        return ReadingQuality(None, difference, len(texts))
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    cosines = (found * wanted).sum(axis=1) / np.maximum(lengths, 1e-12)
    return ReadingQuality(float(cosines.min()), None, len(texts))


def some_texts() -> list[str]:
    """Pieces of the builtin text, of several lengths, one behind the other."""
    found = []
    for passage in read_passages():
        words, start = passage.text.split(), 0
        for at in range(TEXTS // 2):
            stop = start + _LENGTHS[at % len(_LENGTHS)]
            found.append(" ".join(words[start:stop]))
            start = stop
    return found


def _made(folder: Path, texts: list[str]) -> npt.NDArray[np.float32]:
    """Float32 [texts, width]: vectors as they are pooled, or a score of each text's beginning."""
    runtime = read_artifact(folder).target
    options = ReaderOptions("cpu", EXACT if runtime == "openvino" else {})
    is_embedder = task_of(folder) == "embeddings"
    pooling = read_sentence_model(folder).modules.pooling if is_embedder else None
    with closing(TextReader(folder, options, pooling)) as reader:
        if is_embedder:
            return reader.run(reader.encode(texts))
        queries = [" ".join(text.split()[:_QUERY_WORDS]) for text in texts]
        pairs = zip(queries, texts, strict=True)
        return reader.run([reader.encode_pairs(query, [text])[0] for query, text in pairs])
