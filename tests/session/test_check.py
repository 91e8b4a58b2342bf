"""A broken conversion is refused before anything of it is in the store; a sound one tells."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny

from aipc.artifact import manifest
from aipc.convert import row_chunks, weights_file
from aipc.convert.export import Export
from aipc.convert.quality import ConversionQuality
from aipc.convert.quantizers.rtn import SYMMETRIC_CODES, Quantized
from aipc.convert.recipe import Recipe
from aipc.errors import MeasurementError, UnsupportedModel
from aipc.measure.quality.check import TextCheck
from aipc.models.store import Store
from aipc.session.check import BrokenArtifact
from aipc.session.convert import convert

FEW = TextCheck(tokens=128)


class Scripted:
    """A `ConversionCheck` that finds what it was told to find."""

    tokens = 64

    def __init__(self, kl=0.0, error=None):
        self.seen = []
        self._kl, self._error = kl, error

    def __call__(self, checkpoint, artifact, progress):
        self.seen.append(artifact)
        if self._error is not None:
            raise self._error
        return ConversionQuality(self._kl, 0.5, 64, measured=True, scored={"device": "CPU"})


def off_by_one(quantized, encoding):
    least, greatest = SYMMETRIC_CODES[encoding.bits]
    codes = np.clip(quantized.codes.astype(np.int16) + 1, least, greatest).astype(np.int8)
    return Quantized(codes, quantized.scale, quantized.zero)


def halves_swapped(quantized, encoding):
    codes = quantized.codes
    if encoding.bits == 4:
        codes = codes.reshape(-1, 2)[:, ::-1].reshape(codes.shape)
    return Quantized(np.ascontiguousarray(codes), quantized.scale, quantized.zero)


def scales_of_the_row_above(quantized, _encoding):
    return Quantized(quantized.codes, np.roll(quantized.scale, 1, axis=0), quantized.zero)


def scales_without_signs(quantized, _encoding):
    return Quantized(quantized.codes, np.abs(quantized.scale), quantized.zero)


@pytest.fixture
def plant(monkeypatch):
    """Break what every quantizer finds, on its way into the file."""
    pack = row_chunks.pack

    def broken(change):
        def pack_changed(found, encoding, packing):
            return pack(change(found, encoding), encoding, packing)

        for module in (row_chunks, weights_file):
            monkeypatch.setattr(module, "pack", pack_changed)

    return broken


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


@pytest.mark.parametrize(
    ("change", "recipe", "runtime"),
    [
        (off_by_one, Recipe("int8"), "openvino"),
        (halves_swapped, Recipe("int4"), "openvino"),
        (scales_without_signs, Recipe("int4", quantizer="rtn"), "openvino"),
        (scales_of_the_row_above, Recipe("int4", group_size=32), "onnx"),
    ],
)
def test_a_planted_bad_recipe_is_refused_and_leaves_nothing(
    plant, store, smollm_gguf, change, recipe, runtime
):
    if runtime == "onnx":
        pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")
    plant(change)
    with pytest.raises(BrokenArtifact, match=r"broken: .* nats .*; try --weight-format"):
        convert(str(smollm_gguf), recipe, runtime=runtime, check=FEW, store=store)
    assert store.entries() == []
    assert [path.suffix for path in (store.home / "artifacts").iterdir()] == [".lock"]


def test_what_is_found_is_kept_with_the_artifact_and_not_found_again(store, smollm_gguf):
    made = convert(str(smollm_gguf), Recipe("int8"), check=FEW, store=store)
    assert made.quality.measured
    assert made.quality.tokens == 128
    assert 0.001 < made.quality.kl < 0.03
    assert made.quality.same_top > 0.9
    assert made.better == ""
    assert manifest.verify(made.path) == []
    check = Scripted()
    again = convert(str(smollm_gguf), Recipe("int8"), check=check, store=store)
    assert check.seen == []
    assert again.quality == made.quality
    assert again.reused


@pytest.fixture
def checkpoint(tmp_path):
    config = tiny.CONFIGS["phi3"]
    return str(tiny.write_checkpoint(tmp_path / "phi3", config, tiny.random_tensors(config)))


def test_without_a_check_there_are_the_recipes_figures(store, checkpoint):
    made = convert(checkpoint, Recipe("int4", 128, quantizer="rtn"), store=store)
    assert not made.quality.measured
    assert made.quality.kl > 0.3
    assert "--weight-format int8" in made.better
    unknown = convert(checkpoint, Recipe("int4", 64, sym=False, all_layers=True), store=store)
    assert (unknown.quality, unknown.better) == (None, "")


def test_it_sees_what_is_about_to_be_kept(store, checkpoint):
    check = Scripted(kl=0.01)
    made = convert(checkpoint, Recipe("int8"), check=check, store=store)
    assert made.quality.kl == 0.01
    [folder] = check.seen
    assert folder.name == f".{made.path.name}.partial"
    assert json.loads((made.path / manifest.FILE).read_text())["facts"]["quality"]["measured"]


def test_an_artifact_that_was_made_without_a_check_is_checked_where_it_is(store, checkpoint):
    made = convert(checkpoint, Recipe("int8"), store=store)
    files = {file.name: file.stat().st_mtime_ns for file in made.path.iterdir()}
    check = Scripted(kl=0.02)
    checked = convert(checkpoint, Recipe("int8"), check=check, store=store)
    assert check.seen == [made.path]
    assert (checked.reused, checked.quality.kl) == (True, 0.02)
    changed = {
        file.name for file in made.path.iterdir() if files.get(file.name) != file.stat().st_mtime_ns
    }
    assert changed == {manifest.FILE}
    assert convert(checkpoint, Recipe("int8"), store=store).quality == checked.quality
    assert manifest.verify(made.path) == []


def test_a_broken_one_that_is_there_stays_for_the_user_to_remove(store, checkpoint):
    made = convert(checkpoint, Recipe("int8"), store=store)
    with pytest.raises(BrokenArtifact, match=f"remove '{made.path}'; try --weight-format fp16"):
        convert(checkpoint, Recipe("int8"), check=Scripted(kl=1.0), store=store)
    assert not convert(checkpoint, Recipe("int8"), store=store).quality.measured


@pytest.mark.parametrize("kl", [float("nan"), 0.06])
def test_what_is_no_number_or_too_much_is_broken(store, checkpoint, kl):
    with pytest.raises(BrokenArtifact):
        convert(checkpoint, Recipe("int8"), check=Scripted(kl), store=store)
    assert store.entries() == []


def test_a_recipe_without_a_figure_is_judged_by_its_like(store, checkpoint):
    with pytest.raises(BrokenArtifact, match=r"sound ones of its recipe 0\.05 at most"):
        convert(
            checkpoint, Recipe("int8", sym=False, quantizer="rtn"), check=Scripted(0.1), store=store
        )


def test_of_sixteen_bits_that_are_broken_no_better_recipe_is_named(store, checkpoint):
    with pytest.raises(BrokenArtifact, match="at most; report this model: 16 bits lose nothing"):
        convert(checkpoint, Recipe("fp16"), check=Scripted(1.0), store=store)


def test_a_check_that_fails_leaves_nothing(store, checkpoint):
    error = MeasurementError("the model's scores are no numbers")
    with pytest.raises(MeasurementError):
        convert(checkpoint, Recipe("int8"), check=Scripted(error=error), store=store)
    assert store.entries() == []


def test_its_time_and_memory_are_foretold(store, checkpoint):
    told = []
    convert(checkpoint, Recipe("int8"), check=Scripted(), store=store, notify=told.append)
    convert(checkpoint, Recipe("fp16"), store=store, notify=told.append)
    checked, plain = (int(line.split()[-2]) for line in told)
    assert checked >= plain + 3


def test_a_network_that_only_an_exporter_knows_can_not_be_checked(store, tmp_path, monkeypatch):
    config = tiny.LLAMA | {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"]}
    folder = tiny.write_checkpoint(tmp_path / "neox", config, tiny.random_tensors(tiny.LLAMA))
    monkeypatch.setattr(Export, "is_installed", classmethod(lambda _: True))
    with pytest.raises(UnsupportedModel, match=r"'gpt_neox' .*leave out --check"):
        convert(str(folder), Recipe("int8"), check=FEW, store=store)
