import numpy as np
import pytest

from aipc.checkpoint.gguf.file import QUANTIZED, GgufFile
from aipc.checkpoint.gguf.header import read_header
from aipc.checkpoint.tensors import FLOATS
from aipc.errors import CheckpointError, UnsupportedModel

FORMATS = sorted((FLOATS - {"F64"}) | QUANTIZED)


def random_blocks(rng, kind, rows, columns):
    """Rows of a block format with sane scales, as bytes [rows, bytes a row]."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

    kind = GGMLQuantizationType[kind]
    values = rng.standard_normal((rows, columns), np.float32)
    try:
        return quants.quantize(values, kind).view(np.uint8)
    except NotImplementedError:  # gguf reads these and does not write them
        block, nbytes = GGML_QUANT_SIZES[kind]
        raw = rng.integers(0, 256, (rows, columns // block * nbytes), np.uint8)
        return raw & 0x3B  # no half-precision scale made of these bits is infinite


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_are_what_the_gguf_package_makes_of_them(make_gguf, rng, kind):
    from gguf import GGMLQuantizationType, quants

    raw = random_blocks(rng, kind, 40, 512)
    file = GgufFile(make_gguf({"output.weight": (raw, kind)}))
    assert file.tensors["output.weight"].dtype == kind
    assert file.tensors["output.weight"].shape == (40, 512)
    assert file.tensors["output.weight"].nbytes == raw.nbytes
    expected = quants.dequantize(raw, GGMLQuantizationType[kind])
    assert np.isfinite(expected).all()
    for order in (np.arange(40), np.arange(3, 20), np.array([7, 2, 31]), np.arange(0)):
        rows = file.take("output.weight", order)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, expected[order])


def test_quantized_rows_are_near_what_was_quantized(make_gguf, rng):
    from gguf import GGMLQuantizationType, quants

    values = rng.standard_normal((8, 256), np.float32)
    for kind, error in [("Q8_0", 0.02), ("Q4_0", 0.4), ("Q4_1", 0.4)]:
        raw = quants.quantize(values, GGMLQuantizationType[kind])
        file = GgufFile(make_gguf({"output.weight": (raw, kind)}))
        np.testing.assert_allclose(file.take_all("output.weight"), values, atol=error)


def test_a_type_that_is_not_read_is_named_with_those_that_are(make_gguf, rng):
    raw = rng.integers(0, 256, (4, 512 // 32 * 17), np.uint8)
    file = GgufFile(make_gguf({"output.weight": (raw, "MXFP4")}))
    with pytest.raises(UnsupportedModel, match=r"'output.weight' .* is MXFP4 .*take .*Q4_K"):
        file.take_all("output.weight")


def test_a_quantized_vector_is_not_read(make_gguf, rng):
    raw = random_blocks(rng, "Q8_0", 1, 64)[0]
    file = GgufFile(make_gguf({"output.weight": (raw, "Q8_0")}))
    with pytest.raises(UnsupportedModel, match=r"is Q8_0 \(64,\)"):
        file.take_all("output.weight")


def test_scales_that_are_not_finite_pass_without_a_warning(make_gguf):
    raw = np.full((2, 34), 0x7C, np.uint8)
    weights = GgufFile(make_gguf({"output.weight": (raw, "Q8_0")})).take_all("output.weight")
    assert not np.isfinite(weights).any()


def test_one_part_of_a_split_model_says_how_to_join_it(make_gguf):
    with pytest.raises(UnsupportedModel, match=r"one of 3 parts .*llama-gguf-split --merge"):
        GgufFile(make_gguf(split__count=3))


@pytest.mark.parametrize("alignment", [0, 3, 2**21])
def test_an_alignment_that_is_none(make_gguf, alignment):
    with pytest.raises(CheckpointError, match="alignment"):
        GgufFile(patched(make_gguf(other__alignment=alignment), b"other.al", b"general."))


def patched(path, old, new):
    """Rename the key behind the writer's back, which would refuse the value."""
    content = path.read_bytes()
    assert content.count(old) == 1
    key_at = content.index(old)
    size_at = key_at - 8
    key = b"general.alignment"
    end = key_at + len(b"other.alignment")
    content = content[:size_at] + len(key).to_bytes(8, "little") + key + content[end:]
    path.write_bytes(content)
    return path


def list_entry(content, name):
    """Where a tensor's number of axes stands in the file."""
    mark = len(name).to_bytes(8, "little") + name
    assert content.count(mark) == 1
    return content.index(mark) + len(mark)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        (20, 99, "is of the unknown type 99"),
        (24, 7, "is not aligned"),
        (24, 2**63, "bytes after the file"),
        (24, 0, "lies on another tensor"),
        (4, 0, r"is F32 \(0, 64\)"),
        (4, 2**62, r"is F32 \(4611686018427387904, 64\)"),
        (12, 2**20, "bytes after the file"),
    ],
)
def test_a_tensor_list_that_lies(make_gguf, field, value, why):
    path = make_gguf(drop=["output_norm.weight"])
    content = bytearray(path.read_bytes())
    at = list_entry(bytes(content), b"blk.0.ffn_up.weight") + field
    size = 4 if field == 20 else 8
    content[at : at + size] = value.to_bytes(size, "little")
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=why):
        GgufFile(path)


def test_a_tensor_that_is_listed_twice(make_gguf):
    path = make_gguf()
    content = path.read_bytes()
    assert content.count(b"blk.0.attn_k.weight") == 1
    path.write_bytes(content.replace(b"blk.0.attn_k.weight", b"blk.0.attn_q.weight"))
    with pytest.raises(CheckpointError, match="stands in its list twice"):
        GgufFile(path)


def test_data_that_was_cut_short(make_gguf):
    path = make_gguf()
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=r"'output_norm.weight' ends .* after the file"):
        GgufFile(path)


def test_data_that_is_cut_short_later(make_gguf):
    path = make_gguf()
    file = GgufFile(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="it ends before byte"):
        file.take_all("output_norm.weight")


def read_all(path):
    file = GgufFile(path)
    for name in file.tensors:
        file.take_all(name)


def test_damaged_lists_give_nothing_but_our_errors(make_gguf, damage, refusals):
    path = make_gguf()
    first = path.read_bytes().index(b"token_embd.weight")
    files = damage(path, first, read_header(path).stop, times=500)
    assert len(refusals(files, read_all)) > 100
