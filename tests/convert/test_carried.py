"""Codes of a checkpoint that an artifact keeps: which, and that they are the same weights."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import tiny
from openvino_scorer import Scorer
from packed import as_gptq, put_settings

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.tensors import Grid, GridCodes
from aipc.convert.carried import carry, quantized, read_grids
from aipc.convert.families.network_reader import read_network
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.quantizers.rtn import dequantize
from aipc.convert.recipe import Encoding, Recipe
from aipc.convert.targets import find_target
from aipc.errors import ConversionError

CPU, NPU, ONNX = find_target("cpu"), find_target("npu"), find_target("cpu", "onnx")
IDS = [7, 3, 250, 12, 90, 41, 5, 6]


@pytest.fixture(scope="module")
def gptq(tmp_path_factory):
    """A tiny network's checkpoint packed as `as_gptq` says: folder, config, decoded tensors."""

    def make(name="llama-gqa", **options):
        config = tiny.CONFIGS[name]
        packed, decoded, settings = as_gptq(tiny.random_tensors(config), **options)
        folder = tiny.write_checkpoint(tmp_path_factory.mktemp(name), config, packed)
        return put_settings(folder, settings), config, decoded

    return make


@pytest.fixture(scope="module")
def network(gptq):
    with open_checkpoint(gptq()[0]) as checkpoint:
        return read_network(checkpoint)


def carried(network, grid, given, target):
    """The encoding of the first block's attention output on a grid."""
    name = network.blocks[0].matrices[1].name
    encodings = {matrix.name: given for matrix in network.matrices()}
    return carry(network, {name: grid}, encodings, target).get(name)


@pytest.mark.parametrize(
    ("grid", "given", "target", "expected"),
    [
        (Grid(4, 32, True), Encoding(4, 64), CPU, Encoding(4, 32, True, True)),
        (Grid(4, 32, False), Encoding(4, 64), CPU, Encoding(4, 32, False, True)),
        (Grid(4, 32, True), Encoding(8, 64), CPU, Encoding(4, 32, True, True)),
        (Grid(4, 64, True), Encoding(4, 32), CPU, Encoding(4, 64, True, True)),
        (Grid(4, 64, True), Encoding(4, 32), ONNX, Encoding(4, 64, True, True)),
        (Grid(8, 32, True), Encoding(8, 64), CPU, Encoding(8, 32, True, True)),
        (Grid(8, 64, True), Encoding(8, 64), NPU, Encoding(8, 64, True, True)),
        (Grid(4, 64, True), Encoding(4, 64), NPU, Encoding(4, 64, True, True)),
        (Grid(4, 256, True), Encoding(4, 64), NPU, Encoding(4, 128, True, True)),
        (Grid(4, 32, True), Encoding(4, 64), NPU, None),
        (Grid(4, 64, False), Encoding(4, 64), NPU, None),
        (Grid(8, 32, True), Encoding(8, 64), NPU, None),
        (Grid(8, 64, True), Encoding(4, 64), CPU, None),
        (Grid(4, 32, True), Encoding(16), CPU, None),
        (Grid(4, 16, True), Encoding(4, 64), CPU, None),
    ],
)
def test_a_grid_is_kept_where_the_target_has_it(network, grid, given, target, expected):
    assert carried(network, grid, given, target) == expected


def test_stacked_matrices_keep_what_their_parts_have_in_common(gptq):
    folder, _, _ = gptq()
    with open_checkpoint(folder) as checkpoint:
        network = read_network(checkpoint)
        grids = read_grids(checkpoint, network)
    assert set(grids) == {m.name for block in network.blocks for m in block.matrices}
    assert set(grids.values()) == {Grid(4, 32, True)}


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("group", [16, 64])
def test_codes_mean_the_same_weights(bits, sym, group):
    random = np.random.default_rng(bits)
    codes = random.integers(1, 2**bits, (6, 128), np.uint8)
    scale = random.random((6, 2)).astype(np.float16).astype(np.float32)
    zero = None if sym else random.integers(0, 2**bits, (6, 2), np.uint8)
    below = 1 << (bits - 1) if sym else np.repeat(zero, 64, axis=1).astype(np.float32)
    found = quantized(GridCodes(codes, scale, zero), Encoding(bits, group, sym, True), "w")
    assert found.scale.shape == (6, 128 // group)
    assert found.codes.dtype == (np.int8 if sym else np.uint8)
    weights = (codes.astype(np.float32) - below) * np.repeat(scale, 64, axis=1)
    np.testing.assert_array_equal(dequantize(found), weights)


def test_the_least_code_of_eight_bits_is_refused_where_it_is_left_out():
    found = GridCodes(np.zeros((2, 32), np.uint8), np.ones((2, 1), np.float32))
    assert quantized(found, Encoding(8, 32, False, True), "w").zero.min() == 128
    with pytest.raises(ConversionError, match=r"code -128.*--requantize"):
        quantized(found, Encoding(8, 32, True, True), "w")


@pytest.mark.parametrize("name", ["llama-gqa", "phi3", "qwen3"])
@pytest.mark.parametrize("sym", [True, False])
def test_an_artifact_computes_with_the_checkpoints_own_weights(name, sym, gptq, tmp_path):
    folder, config, decoded = gptq(name, sym=sym)
    plain = tiny.write_checkpoint(tmp_path / "plain", config, decoded)
    with open_checkpoint(folder) as checkpoint, open_checkpoint(plain) as floats:
        conversion = plan_openvino(checkpoint, Recipe("int8"))
        (tmp_path / "carried").mkdir()
        conversion.write(tmp_path / "carried")
        (tmp_path / "fp16").mkdir()
        plan_openvino(floats, Recipe("fp16")).write(tmp_path / "fp16")
    kept = {name for name, encoding in conversion.encodings.items() if encoding.carried}
    assert kept == {m.name for block in conversion.network.blocks for m in block.matrices}
    got, wanted = (Scorer(tmp_path / part).logits(IDS) for part in ("carried", "fp16"))
    assert np.linalg.norm(got - wanted) / np.linalg.norm(wanted) < 0.02  # of the int8 embedding


@pytest.mark.parametrize("sym", [True, False])
def test_the_file_holds_the_codes_as_they_were(sym, gptq, tmp_path):
    """Both runtimes' files, unpacked by hand."""
    folder, _, decoded = gptq(sym=sym)
    with open_checkpoint(folder) as checkpoint:
        for plan in (plan_openvino, plan_onnx):
            conversion = plan(checkpoint, Recipe("int4", group_size=32))
            conversion.write_weights(tmp_path / "weights")
            stored = conversion.layout.matrices["block.1.down"]
            assert stored.encoding == Encoding(4, 32, sym, carried=True)
            weights = unpacked(stored, tmp_path / "weights", plan is plan_onnx)
            np.testing.assert_array_equal(weights, decoded["model.layers.1.mlp.down_proj.weight"])


def unpacked(stored, path, is_onnx):
    rows, columns = stored.matrix.rows, stored.matrix.columns

    def read(array, dtype):
        return np.fromfile(
            path, dtype, offset=array.offset, count=array.nbytes // np.dtype(dtype).itemsize
        )

    def nibbles(array):
        packed = read(array, np.uint8)
        return np.stack([packed & 15, packed >> 4], axis=1).reshape(-1).astype(np.int32)

    codes, groups = nibbles(stored.weight).reshape(rows, -1, 32), columns // 32
    scale = read(stored.scale, np.float32 if is_onnx else np.float16).reshape(rows, groups, 1)
    if stored.zero is not None:
        width = groups + groups % 2 if is_onnx else groups
        zero = nibbles(stored.zero)[: rows * width].reshape(rows, width)[:, :groups, None]
    else:
        codes, zero = (codes, 8) if is_onnx else (np.where(codes > 7, codes - 16, codes), 0)
    return ((codes - zero) * scale.astype(np.float32)).reshape(rows, columns).astype(np.float32)


@pytest.mark.parametrize("quantizer", ["rtn", "search", "gptq"])
def test_whatever_the_quantizer_carried_codes_stay(quantizer, gptq, tmp_path):
    folder, _, decoded = gptq()
    text = tmp_path / "text.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 40)
    calibration = {"calibration": str(text)} if quantizer == "gptq" else {}
    recipe = Recipe(group_size=32, quantizer=quantizer, all_layers=True, **calibration)
    with open_checkpoint(folder) as checkpoint:
        conversion = plan_openvino(checkpoint, recipe)
        conversion.write_weights(tmp_path / "weights")
    assert not conversion.encodings["head"].carried
    stored = conversion.layout.matrices["block.0.attention_out"]
    weights = unpacked(stored, tmp_path / "weights", False)
    np.testing.assert_array_equal(weights, decoded["model.layers.0.self_attn.o_proj.weight"])


@pytest.mark.parametrize(
    "recipe",
    [Recipe("fp16"), Recipe("int8", requantize=True), Recipe(quantizer="awq")],
    ids=lambda recipe: recipe.tag,
)
def test_recipes_that_keep_none(recipe, gptq):
    with open_checkpoint(gptq()[0]) as checkpoint:
        conversion = plan_openvino(checkpoint, recipe)
    assert not any(encoding.carried for encoding in conversion.encodings.values())


def test_mixed_recipes_leave_carried_matrices_alone(gptq):
    with open_checkpoint(gptq()[0]) as checkpoint:
        conversion = plan_openvino(checkpoint, Recipe("int4", group_size=32, ratio=0.5))
    in_blocks = [m.name for block in conversion.network.blocks for m in block.matrices]
    assert all(conversion.encodings[name].carried for name in in_blocks)


def test_the_notes_and_the_manifest_say_what_was_kept(gptq):
    with open_checkpoint(gptq()[0]) as checkpoint:
        conversion = plan_openvino(checkpoint, Recipe("int8"))
        anew = plan_openvino(checkpoint, Recipe("int8", requantize=True))
        npu = plan_openvino(checkpoint, Recipe("int8"), NPU)
    assert conversion.notes == (
        "8 of 10 matrices carried over from the checkpoint's own int4 blocks of 32, as they are",
    )
    assert conversion.facts["encodings"]["block.0.down"] == asdict(Encoding(4, 32, True, True))
    again = ("8 of 10 matrices rounded a second time: the checkpoint holds GPTQ int4",)
    assert anew.notes == npu.notes == again


def test_expected_quality_counts_what_is_rounded(gptq):
    with open_checkpoint(gptq()[0]) as checkpoint:
        kept = plan_openvino(checkpoint, Recipe("int4", group_size=32))
        anew = plan_openvino(checkpoint, Recipe("int4", group_size=32, requantize=True))
        every = replace(kept, encodings={"head": Encoding(4, 32, True, True)})
    assert kept.facts["quality"]["kl"] < 0.01 < anew.facts["quality"]["kl"]
    assert "quality" not in every.facts


def test_act_order_is_rounded_a_second_time(gptq, tmp_path):
    folder, config, decoded = gptq(act_order=True)
    plain = tiny.write_checkpoint(tmp_path / "plain", config, decoded)
    recipe = Recipe("int4", group_size=32, quantizer="rtn")
    with open_checkpoint(folder) as checkpoint, open_checkpoint(plain) as floats:
        plan_openvino(checkpoint, recipe).write_weights(tmp_path / "packed")
        plan_openvino(floats, recipe).write_weights(tmp_path / "floats")
    assert (tmp_path / "packed").read_bytes() == (tmp_path / "floats").read_bytes()
