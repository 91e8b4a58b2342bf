"""One checkpoint through both runtimes: the same model, whoever computes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino_scorer
import pytest

import aipc
from aipc.convert.recipe import Recipe
from aipc.generate import Tokenizer
from aipc.session.convert import convert

pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")

TEXT = Path(aipc.__file__).parent / "measure" / "quality" / "legal.txt"
WINDOWS, LENGTH = 4, 512
QUESTIONS = (
    "What is the capital of France?",
    "What is 2 plus 2?",
    "Who wrote Hamlet?",
    "What do bees make?",
)


@pytest.fixture(scope="module")
def artifact(smollm_gguf, small_store):
    def make(runtime, weight_format):
        recipe = Recipe(weight_format)
        return convert(str(smollm_gguf), recipe, runtime=runtime, store=small_store).path

    return make


@pytest.fixture(scope="module")
def windows(artifact):
    ids = Tokenizer.from_folder(artifact("openvino", "fp16")).encode(
        TEXT.read_text("utf-8"), add_special_tokens=False
    )
    return np.array(ids[: WINDOWS * LENGTH]).reshape(WINDOWS, LENGTH)


@pytest.fixture(scope="module")
def tops(artifact, windows):
    """The likeliest next token at each position, as the runtime's own numerics have it."""

    def likeliest(runtime, weight_format):
        scorer, found = _scorer(runtime, artifact(runtime, weight_format)), []
        for window in windows:
            scorer.reset()
            found.append(scorer.logits(window).argmax(axis=-1))
        return np.concatenate(found)

    return likeliest


def _scorer(runtime, folder):
    if runtime == "openvino":
        return openvino_scorer.Scorer(folder)
    import onnx_scorer

    return onnx_scorer.Scorer(folder, exact=False)


def test_both_agree_with_the_float_reference(tops):
    """int8 on 95% of next tokens, int4 within 2 points of each other."""
    reference = tops("openvino", "fp16")

    def share(runtime, weight_format):
        return float((tops(runtime, weight_format) == reference).mean())

    assert share("openvino", "int8") >= 0.95
    assert share("onnx", "int8") >= 0.95
    assert abs(share("openvino", "int4") - share("onnx", "int4")) <= 0.02


def test_both_give_the_same_answers(artifact):
    """In fp16 with pinned numerics; in fewer bits this small model's many near-ties fall apart."""
    answers = []
    for runtime, properties in (("openvino", openvino_scorer.EXACT), ("onnx", {})):
        with aipc.load(str(artifact(runtime, "fp16")), properties=properties) as session:
            assert session.facts["runtime"] == runtime
            answers.append([answer(session, question) for question in QUESTIONS])
    assert answers[0] == answers[1]


def answer(session, question):
    return session.generate(question, max_new_tokens=24, temperature=0.0).text
