"""What is found on the small real model and on tiny ones, and that it is found once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from linked_store import linked

from aipc import records
from aipc.convert.recipe import REVISION, Recipe
from aipc.errors import MeasurementError
from aipc.measure.quality.passages import Cut, Passage, read_passages
from aipc.measure.quality.quality import EvaluationText, Quality, measure_kl, measure_quality
from aipc.measure.quality.reference import Subject, find_reference
from aipc.models.catalogue import CATALOGUE
from aipc.models.store import Store
from aipc.runtimes.openvino.scorer import EXACT
from aipc.session.convert import convert, prepare

EXAM = EvaluationText(read_passages(), Cut(tokens=128, window=128, overlap=32))


def quiet(*_):
    pass


@pytest.fixture(scope="module")
def of_small(small_store, tmp_path_factory):
    """The small real model by a recipe, judged with pinned numerics in a memory of its own."""
    store = linked(small_store, tmp_path_factory.mktemp("home"))

    def judged(recipe):
        made = prepare(CATALOGUE.default.source, recipe, small_store)
        subject = Subject(made.path, "openvino", "cpu", EXACT)
        reference = find_reference(made.path, None, small_store, quiet, quiet)
        return measure_quality(subject, reference, EXAM, store)

    small_store.fetch(CATALOGUE.default.source)
    return judged


def test_int8_keeps_more_of_the_model_than_int4_and_fp16_all(of_small):
    fp16, int8, int4 = map(of_small, (Recipe("fp16"), Recipe("int8"), Recipe()))
    assert abs(fp16.kl.middle) < 1e-5
    assert fp16.top1.middle == fp16.top5.middle == 1
    assert fp16.perplexity_ratio.middle == pytest.approx(1, abs=1e-3)
    assert 0.001 < int8.kl.middle < 0.02
    assert int4.kl.low > 10 * int8.kl.high
    assert int8.top1.middle > 0.9 > int4.top1.middle
    assert int4.top5.middle > int4.top1.middle
    assert 10 < fp16.perplexity.middle < int4.perplexity.middle < 100
    for found in (fp16, int8, int4):
        assert found.kl.low <= found.kl.middle <= found.kl.high
        assert found.text.places == {"legal.txt": 64, "prose.txt": 64}
        assert found.scored["numerics"]["INFERENCE_PRECISION_HINT"] == "f32"


@pytest.fixture(scope="module")
def tiny_source(tmp_path_factory):
    config = tiny.CONFIGS["llama-gqa"]
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    return tiny.write_checkpoint(folder, config, tiny.random_tensors(config))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def artifact(tiny_source, store):
    return convert(str(tiny_source), Recipe(group_size=32), store=store, notify=quiet).path


TEXT = EvaluationText(
    (Passage("t", "How now, brown cow? " * 20),), Cut(tokens=100, window=40, overlap=8)
)


def test_what_was_found_is_recalled_until_anything_changes(artifact, store, monkeypatch):
    loaded = []
    load = Subject.scorer
    monkeypatch.setattr(
        Subject, "scorer", lambda self: (loaded.append(self.artifact), load(self))[1]
    )
    found = measure_kl(artifact, properties=EXACT, tokens=100, store=store)
    assert len(loaded) == 2
    assert found.kl.middle > 0
    again = measure_kl(artifact, properties=EXACT, tokens=100, store=store)
    assert again == found
    assert len(loaded) == 2
    measure_kl(artifact, tokens=100, store=store)  # as it runs by default
    assert loaded[2:] == [artifact]
    measure_kl(artifact, properties=EXACT, tokens=101, store=store)
    assert len(loaded) == 5


def test_a_damaged_memory_is_measured_anew(artifact, store):
    found = measure_kl(artifact, properties=EXACT, tokens=100, store=store)
    for file in (store.home / "quality").glob("*.json"):
        file.write_text('{"kl": 0}')
    assert measure_kl(artifact, properties=EXACT, tokens=100, store=store) == found


def test_quality_is_plain_data(artifact, store):
    found = measure_kl(artifact, properties=EXACT, tokens=100, store=store)
    assert records.read(Quality, json.loads(json.dumps(records.plain(found)))) == found


def test_without_a_reference_there_is_a_perplexity_alone(artifact, store):
    found = measure_quality(Subject(artifact, "openvino"), None, TEXT, store)
    assert found.perplexity.middle > 1
    assert found.kl is found.top1 is found.reference is None


def test_a_window_that_the_model_can_not_hold_is_refused(artifact, store):
    exam = EvaluationText(TEXT.passages, Cut(tokens=300, window=200))
    with pytest.raises(MeasurementError, match="give --window 128 or less"):
        measure_quality(Subject(artifact, "openvino"), None, exam, store)


def test_onnx_runtime_is_judged_against_the_same_reference(tiny_source, store):
    pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")
    made = convert(str(tiny_source), Recipe("fp16"), runtime="onnx", store=store, notify=quiet)
    found = measure_kl(made.path, runtime="onnx", tokens=100, store=store)
    assert abs(found.kl.middle) < 1e-4
    assert found.scored["runtime"] == "onnx"


def test_the_reference_is_the_checkpoint_the_artifact_was_made_from(artifact, store):
    reference = find_reference(artifact, None, store, quiet, quiet)
    assert reference.artifact.name.endswith(f"fp16-{REVISION}")
    assert reference.properties == EXACT
    named = find_reference(artifact, str(artifact), store, quiet, quiet)
    assert named.artifact == artifact


def test_a_reference_that_nobody_knows_is_asked_for(artifact, store, tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(MeasurementError, match=r"nobody knows .* --against"):
        find_reference(tmp_path, None, store, quiet, quiet)


@pytest.mark.parametrize("change", ["gone", "other"])
def test_a_checkpoint_that_is_not_what_it_was_is_no_reference(change, tmp_path):
    config, store = tiny.CONFIGS["llama-gqa"], Store(tmp_path / "home")
    folder = tmp_path / "tiny"
    tiny.write_checkpoint(folder, config, tiny.random_tensors(config))
    made = convert(str(folder), Recipe("int8"), store=store, notify=quiet).path
    if change == "gone":
        folder.rename(tmp_path / "elsewhere")
        expected = "is not there any more; .* --against"
    else:
        tiny.write_checkpoint(folder, config, tiny.random_tensors(config, seed=1))
        expected = "has changed since then; .* --against"
    with pytest.raises(MeasurementError, match=expected):
        find_reference(made, None, store, quiet, quiet)


def test_models_that_read_the_text_in_other_tokens_are_not_compared(artifact, store, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for file in Path(artifact).iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = list(vocabulary)[65:67]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(MeasurementError, match="different tokens"):
        measure_quality(Subject(artifact, "openvino"), Subject(other, "openvino"), TEXT, store)
