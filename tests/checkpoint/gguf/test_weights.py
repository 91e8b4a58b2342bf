import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES

from aipc.checkpoint.gguf.header import read_header
from aipc.checkpoint.gguf.weights import GgufFile, GgufWeights, is_decoded
from aipc.errors import CheckpointError, UnsupportedModel

BLOCKS = [kind.name for kind in GGML_QUANT_SIZES if is_decoded(kind.name)]
FORMATS = sorted({"BF16", "F16", "F32", *BLOCKS})
Q, K, V = (f"model.layers.0.self_attn.{name}_proj.weight" for name in "qkv")


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
        rows = file.read_rows("output.weight", order)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, expected[order])


def test_quantized_rows_are_near_what_was_quantized(make_gguf, rng):
    from gguf import GGMLQuantizationType, quants

    values = rng.standard_normal((8, 256), np.float32)
    for kind, error in [("Q8_0", 0.02), ("Q4_0", 0.4), ("Q4_1", 0.4)]:
        raw = quants.quantize(values, GGMLQuantizationType[kind])
        file = GgufFile(make_gguf({"output.weight": (raw, kind)}))
        np.testing.assert_allclose(file.read_all("output.weight"), values, atol=error)


def test_every_format_that_the_gguf_package_decodes_is_read():
    assert {"IQ1_S", "IQ2_XXS", "IQ3_S", "IQ4_XS", "TQ1_0", "MXFP4", "Q4_K", "Q8_0"} <= set(BLOCKS)
    assert not is_decoded("Q8_1")


def test_a_type_that_is_not_decoded_is_named_before_anything_is_read(make_gguf, rng):
    raw = rng.integers(0, 256, (4, 512 // 32 * 40), np.uint8)
    file = GgufFile(make_gguf({"output.weight": (raw, "Q8_1")}))
    refusal = pytest.raises(UnsupportedModel, match=r"'output.weight' .* is Q8_1 .*take .*Q4_K_M")
    with refusal:
        GgufWeights(file)


def test_a_quantized_vector_is_not_read(make_gguf, rng):
    raw = random_blocks(rng, "Q8_0", 1, 64)[0]
    file = GgufFile(make_gguf({"output.weight": (raw, "Q8_0")}))
    with pytest.raises(UnsupportedModel, match=r"is Q8_0 \(64,\)"):
        GgufWeights(file)


def test_scales_that_are_not_finite_pass_without_a_warning(make_gguf):
    raw = np.full((2, 34), 0x7C, np.uint8)
    weights = GgufFile(make_gguf({"output.weight": (raw, "Q8_0")})).read_all("output.weight")
    assert not np.isfinite(weights).any()


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
    """The offset of a tensor's number of axes in the file."""
    mark = len(name).to_bytes(8, "little") + name
    assert content.count(mark) == 1
    return content.index(mark) + len(mark)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        (20, 99, "is of the unknown type 99"),
        (24, 7, "is not aligned"),
        (24, 2**63, "bytes after the file"),
        (24, 0, "overlaps another tensor"),
        (4, 0, r"is F32 \(0, 64\)"),
        (4, 2**62, r"is F32 \(4611686018427387904, 64\)"),
        (12, 2**20, "bytes after the file"),
    ],
)
def test_a_wrong_tensor_list(make_gguf, field, value, why):
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
    with pytest.raises(CheckpointError, match="is in its list twice"):
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
        file.read_all("output_norm.weight")


def read_all(path):
    file = GgufFile(path)
    for name in file.tensors:
        file.read_all(name)


def test_damaged_lists_give_nothing_but_our_errors(make_gguf, damage, refusals):
    path = make_gguf()
    first = path.read_bytes().index(b"token_embd.weight")
    files = damage(path, first, read_header(path).stop, times=500)
    assert len(refusals(files, read_all)) > 100


def permute(weights, heads):
    """As llama.cpp's converter writes q and k of the llama architecture."""
    head_size = weights.shape[0] // heads
    halves = weights.reshape(heads, 2, head_size // 2, *weights.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weights.shape))


@pytest.fixture
def projections(rng):
    """q, k and v as a checkpoint has them: 4 heads of 8, of which 2 for keys and values."""
    shapes = {Q: (32, 32), K: (16, 32), V: (16, 32)}
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def llama(make_gguf, projections):
    stored = {
        "blk.0.attn_q.weight": permute(projections[Q], 4),
        "blk.0.attn_k.weight": permute(projections[K], 2),
        "blk.0.attn_v.weight": projections[V],
    }
    return GgufWeights(GgufFile(make_gguf(stored)))


@pytest.mark.parametrize("name", [Q, K, V])
def test_llama_projections_come_in_the_checkpoints_order(llama, projections, name):
    expected = projections[name]
    for start in range(len(expected)):
        for stop in range(start, len(expected) + 1):
            np.testing.assert_array_equal(llama.rows(name, start, stop), expected[start:stop])


def test_biases_are_put_back_in_order_too(make_gguf, rng):
    bias = rng.standard_normal(32, np.float32)
    weights = GgufWeights(GgufFile(make_gguf({"blk.0.attn_q.bias": permute(bias, 4)})))
    rows = weights.rows("model.layers.0.self_attn.q_proj.bias", 3, 30)
    np.testing.assert_array_equal(rows, bias[3:30])


def test_quantized_projections_are_put_back_in_order_too(make_gguf, projections):
    from gguf import GGMLQuantizationType, quants

    raw = quants.quantize(permute(projections[Q], 4), GGMLQuantizationType.Q8_0)
    weights = GgufWeights(GgufFile(make_gguf({"blk.0.attn_q.weight": (raw, "Q8_0")})))
    np.testing.assert_allclose(weights.rows(Q, 5, 19), projections[Q][5:19], atol=0.02)


def test_other_architectures_are_stored_as_they_are(make_gguf, projections):
    stored = {"blk.0.attn_q.weight": projections[Q]}
    weights = GgufWeights(GgufFile(make_gguf(stored, general__architecture="qwen2")))
    np.testing.assert_array_equal(weights.rows(Q, 0, 32), projections[Q])


def test_the_head_count_of_keys_defaults_to_that_of_queries(make_gguf, projections):
    stored = {"blk.0.attn_k.weight": permute(projections[K], 4)}
    path = make_gguf(stored, arch__attention__head_count_kv=None)
    weights = GgufWeights(GgufFile(path))
    np.testing.assert_array_equal(weights.rows(K, 0, 16), projections[K])


def test_gemma_norms_are_taken_off_the_1_that_llama_cpp_adds(make_gguf, rng):
    norm = rng.standard_normal(32, np.float32)
    stored = {f"blk.0.{name}.weight": norm + 1 for name in ("attn_norm", "post_ffw_norm")}
    weights = GgufWeights(GgufFile(make_gguf(stored, general__architecture="gemma2")))
    for name in ("input_layernorm", "post_feedforward_layernorm"):
        rows = weights.rows(f"model.layers.0.{name}.weight", 3, 32)
        np.testing.assert_allclose(rows, norm[3:], atol=1e-6)
    np.testing.assert_array_equal(
        weights.rows(Q, 0, 32), GgufFile(weights.paths[0]).read_all("blk.0.attn_q.weight")
    )


def test_heads_that_do_not_divide_a_projection(make_gguf):
    with pytest.raises(CheckpointError, match=r"5 heads do not divide .*q_proj.weight' \(32, 32\)"):
        GgufWeights(GgufFile(make_gguf(arch__attention__head_count=5)))


def test_lists_tensors_by_their_new_names_and_rotary_factors_not_at_all(make_gguf):
    path = make_gguf({"rope_freqs.weight": np.ones(4, np.float32)})
    weights = GgufWeights(GgufFile(path))
    assert weights.tensors[K].name == K
    assert weights.tensors[K].shape == (16, 32)
    assert not [name for name in weights.tensors if "rope" in name]
    assert weights.paths == (path,)


def test_rows_and_tensors_that_are_not_there(llama):
    with pytest.raises(CheckpointError, match="no rows 0 to 33 in tensor"):
        llama.rows(Q, 0, 33)
    with pytest.raises(CheckpointError, match=r"no tensor 'lm_head.weight'"):
        llama.rows("lm_head.weight", 0, 1)


def test_the_real_models_weights_lie_on_their_four_bit_grid(smollm_gguf):
    weights = GgufWeights(GgufFile(smollm_gguf))
    assert len(weights.tensors) == 272
    rows = weights.rows(Q, 60, 70)
    assert rows.shape == (10, 576)
    assert len(np.unique(rows[0, :32])) <= 16
    assert 0.01 < rows.std() < 1
