"""Every network against transformers: scores and greedy answers of tiny random checkpoints."""

from __future__ import annotations

import itertools

import networks
import numpy as np
import numpy_scorer
import onnx_scorer
import openvino_scorer
import pytest

from aipc.convert.recipe import Recipe
from aipc.errors import ConversionError

FP16 = Recipe(weight_format="fp16")


@pytest.fixture(scope="module", params=networks.NAMES)
def expected(request):
    return networks.Expected(request.param)


@pytest.fixture(scope="module")
def folder(expected, tmp_path_factory):
    return expected.write(tmp_path_factory.mktemp(expected.name))


def largest_error(scores, expected):
    return np.abs(scores[networks.PLACES] - expected.logits).max()


def test_numpys_scores_are_transformers(expected, folder):
    assert largest_error(numpy_scorer.scores(folder, networks.LONG), expected) < 1e-3


def test_openvinos_scores_and_answers_are_transformers(expected, folder, converted):
    check(openvino_scorer.Scorer, converted(folder, FP16), expected)


def test_onnx_runtimes_scores_and_answers_are_transformers(expected, folder, converted_to_onnx):
    if expected.name in networks.NOT_FOR_ONNX:
        with pytest.raises(ConversionError, match="--runtime openvino"):
            converted_to_onnx(folder, FP16)
        return
    check(onnx_scorer.Scorer, converted_to_onnx(folder, FP16), expected)


@pytest.mark.parametrize("name", networks.HYBRID)
def test_what_blocks_keep_goes_on_at_any_token(name, tmp_path, converted, converted_to_onnx):
    expected = networks.Expected(name)
    folder = expected.write(tmp_path / name)
    scorers = (
        openvino_scorer.Scorer(converted(folder, FP16)),
        onnx_scorer.Scorer(converted_to_onnx(folder, FP16)),
    )
    ends = [0, 1, 2, 4, 5, 24, 40]
    for scorer in scorers:
        pieces = [networks.LONG[start:end] for start, end in itertools.pairwise(ends)]
        scores = np.concatenate([scorer.logits(piece) for piece in pieces])
        assert largest_error(scores, expected) < 1e-3


def check(scorer, artifact, expected):
    assert largest_error(scorer(artifact).logits(networks.LONG), expected) < 1e-3
    for prompt, answer in zip((networks.SHORT, networks.LONG), expected.answers, strict=True):
        assert scorer(artifact).greedy(prompt, networks.ANSWER) == answer
