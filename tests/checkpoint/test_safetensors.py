from __future__ import annotations

import json
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from aipc.checkpoint.safetensors import INDEX, SafetensorsFile, Shards
from aipc.errors import CheckpointError, UnsupportedModel
from aipc.records import LIMIT

NUMPY = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.fixture
def small(make_safetensors, rng):
    """A file of three tensors with its values."""
    values = rng.standard_normal((6, 4), np.float32)
    tensors = {"a": ("F32", values), "b": ("U8", np.zeros(3, np.uint8)), "c": ("F32", values[0])}
    return make_safetensors(tensors), values


@pytest.mark.parametrize("before", [0, 3], ids=["aligned", "unaligned"])
@pytest.mark.parametrize("kind", sorted(NUMPY))
@pytest.mark.parametrize("shape", [(9, 5), (7,), (4, 3, 2)])
def test_gives_any_rows(make_safetensors, rng, kind, shape, before):
    stored = rng.standard_normal(shape).astype(NUMPY[kind])
    padding = np.zeros(before, np.uint8)
    file = SafetensorsFile(make_safetensors({"pad": ("U8", padding), "w": (kind, stored)}))
    assert file.tensors["w"].shape == shape
    assert file.tensors["w"].nbytes == stored.nbytes
    for start, stop in [(0, shape[0]), (1, 3), (shape[0] - 1, shape[0]), (2, 2)]:
        rows = file.rows("w", start, stop)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, stored[start:stop].astype(np.float32))


def test_gives_bfloat16_within_its_precision(make_safetensors, to_bfloat16, rng):
    values = rng.standard_normal((300, 64), np.float32)
    file = SafetensorsFile(make_safetensors({"w": ("BF16", to_bfloat16(values))}))
    np.testing.assert_allclose(file.rows("w", 100, 228), values[100:228], rtol=2**-8)


def test_reads_what_the_reference_library_writes(tmp_path, rng):
    from safetensors.numpy import save_file

    values = rng.standard_normal((8, 3), np.float32)
    half = values.astype(np.float16)
    save_file({"w": values, "v": half}, tmp_path / "model.safetensors", {"format": "pt"})
    file = SafetensorsFile(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(file.rows("w", 2, 5), values[2:5])
    np.testing.assert_array_equal(file.rows("v", 0, 8), half.astype(np.float32))


@pytest.mark.parametrize(("dtype", "numpy"), [("I64", "<i8"), ("U8", "u1"), ("I8", "i1")])
def test_types_that_are_no_plain_floats_are_listed_but_not_read(make_safetensors, dtype, numpy):
    file = SafetensorsFile(make_safetensors({"w": (dtype, np.zeros(4, numpy))}))
    assert file.tensors["w"].dtype == dtype
    with pytest.raises(UnsupportedModel, match=f"'w' is of type {dtype}; take"):
        file.rows("w", 0, 1)


@pytest.mark.parametrize(
    ("dtype", "numpy"),
    [("I64", "<i8"), ("I32", "<i4"), ("U8", "u1"), ("F16", "<f2"), ("BF16", "<u2")],
)
def test_what_is_stored_comes_out_as_it_is(make_safetensors, dtype, numpy):
    values = np.arange(12, dtype=numpy).reshape(6, 2)
    file = SafetensorsFile(make_safetensors({"w": (dtype, values), "s": ("F32", np.float32(3))}))
    np.testing.assert_array_equal(file.stored("w"), values)
    np.testing.assert_array_equal(file.stored("w", 2, 5), values[2:5])
    assert file.stored("w").dtype == numpy
    assert file.stored("s") == 3
    with pytest.raises(CheckpointError, match="no rows 2 to 7"):
        file.stored("w", 2, 7)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 7), (4, 3), (7, 7)])
def test_rows_that_are_not_there(small, start, stop):
    with pytest.raises(CheckpointError, match=r"no rows .* in tensor 'a' of shape \(6, 4\)"):
        SafetensorsFile(small[0]).rows("a", start, stop)


def test_a_scalar_has_no_rows(make_safetensors):
    file = SafetensorsFile(make_safetensors({"s": ("F32", np.array(1, np.float32))}))
    with pytest.raises(CheckpointError, match=r"of shape \(\)"):
        file.rows("s", 0, 0)


def test_a_tensor_that_is_not_there(small):
    with pytest.raises(CheckpointError, match=r"has no tensor 'd'; take config.json and weights"):
        SafetensorsFile(small[0]).rows("d", 0, 1)


def test_empty_tensors_and_empty_files_are_sound(make_safetensors, make_raw_safetensors):
    file = SafetensorsFile(make_safetensors({"e": ("F32", np.zeros((0, 4), np.float32))}))
    assert file.rows("e", 0, 0).shape == (0, 4)
    assert not SafetensorsFile(make_raw_safetensors({})).tensors


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"w": entry(offsets=(0, 4))}, "last 4 bytes belong to no tensor"),
        ({"w": entry(shape=(3,))}, "does not fill 8 bytes"),
        ({"w": entry(shape=(2**40, 2**40))}, "does not fill"),
        ({"w": entry(shape=(2**70, 0))}, "no usable shape"),
        ({"w": entry(shape=(-2,))}, "no usable shape"),
        ({"w": entry(shape=(True, 2))}, "no usable shape"),
        ({"w": entry(shape=(2.0,))}, "no usable shape"),
        ({"w": entry(shape=(1,) * 9)}, "no usable shape"),
        ({"w": {**entry(), "shape": "2"}}, "no usable shape"),
        ({"w": entry(offsets=(8, 0))}, "no usable offsets"),
        ({"w": entry(offsets=(0,))}, "no usable offsets"),
        ({"w": entry(offsets=(0, 2**64))}, "no usable offsets"),
        ({"w": {**entry(), "data_offsets": None}}, "no usable offsets"),
        ({"w": [1]}, "no usable offsets"),
        ({"w": entry(shape=(4,), offsets=(0, 16))}, "ends 8 bytes after the file"),
        ({"w": entry(shape=(1,), offsets=(0, 4))}, "last 4 bytes belong to no tensor"),
        ({"w": entry(shape=(1,), offsets=(4, 8))}, "bytes before tensor 'w' belong to no tensor"),
        ({"w": entry(), "v": entry(shape=(1,), offsets=(4, 8))}, "overlaps another tensor"),
        (b'{"w": 1, "w": 1}', "the key 'w' stands twice"),
        (b"[]", "it is no JSON object"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_header_that_lies_is_refused_in_one_line(make_raw_safetensors, header, why):
    with pytest.raises(CheckpointError, match=why) as caught:
        SafetensorsFile(make_raw_safetensors(header, bytes(8)))
    assert "model.safetensors" in str(caught.value)
    assert "aipc pull" in caught.value.fix
    assert "\n" not in str(caught.value)


def test_an_unknown_type_is_named(make_raw_safetensors):
    path = make_raw_safetensors({"w": entry("Q3")}, bytes(8))
    with pytest.raises(UnsupportedModel, match=r"'w' in .* has the unknown type 'Q3'"):
        SafetensorsFile(path)


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (b"", "only 0 bytes"),
        (b"\x01", "only 1 bytes"),
        (b"\xff" * 8, "header of 18446744073709551615 bytes does not fit"),
        (b"\x09" + bytes(7) + b"{}", "header of 9 bytes does not fit in its 10 bytes"),
    ],
)
def test_a_length_that_lies_is_refused(tmp_path, start, why):
    path = tmp_path / "model.safetensors"
    path.write_bytes(start)
    with pytest.raises(CheckpointError, match=why):
        SafetensorsFile(path)


def test_a_huge_header_is_refused_unread(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write((LIMIT + 1).to_bytes(8, "little"))
        file.truncate(2 * LIMIT)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="above the limit"):
        SafetensorsFile(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_every_truncation_is_noticed(small, shorten):
    path, _ = small
    for cut in shorten(path, path.stat().st_size):
        with pytest.raises(CheckpointError):
            SafetensorsFile(cut)


def read_all(path):
    file = SafetensorsFile(path)
    for name, info in file.tensors.items():
        file.rows(name, 0, info.shape[0] if info.shape else 0)


def test_damaged_headers_give_nothing_but_our_errors(small, damage, refusals):
    path, _ = small
    header_end = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert len(refusals(damage(path, 0, header_end, times=1500), read_all)) > 1000


def test_a_file_cut_short_after_it_was_opened(small):
    path, _ = small
    file = SafetensorsFile(path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(CheckpointError, match="damaged: it ends before byte"):
        file.rows("c", 0, 4)


def test_threads_read_side_by_side(make_safetensors, to_bfloat16, rng):
    bits = to_bfloat16(rng.standard_normal((512, 96)))
    file = SafetensorsFile(make_safetensors({"w": ("BF16", bits)}))
    whole = file.rows("w", 0, 512)
    wrong = []

    def read(first):
        wrong.extend(
            np.any(file.rows("w", start, start + 16) != whole[start : start + 16])
            for start in range(first, 512, 64)
        )

    threads = [threading.Thread(target=read, args=(16 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 32
    assert not any(wrong)


def test_reading_all_rows_keeps_none_of_them_in_memory(tmp_path):
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("resident memory is read from /proc")
    path = tmp_path / "model.safetensors"
    rows, columns = 2**15, 4096
    nbytes = rows * columns * 2
    header = json.dumps({"w": entry("BF16", (rows, columns), (0, nbytes))}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + nbytes)
    weights = SafetensorsFile(path)
    before = resident_bytes(status)
    most = 0
    for start in range(0, rows, 128):
        weights.rows("w", start, start + 128)
        most = max(most, resident_bytes(status) - before)
    assert most < 32 * 2**20 < nbytes / 4


def resident_bytes(status):
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def sharded(make_safetensors, tmp_path):
    """Two shards and a function that writes an index with changes."""
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    make_safetensors({"a": ("F32", values), "spare": ("F32", values)}, FIRST)
    make_safetensors({"b": ("F32", -values)}, SECOND)

    def write(weight_map):
        (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
        return tmp_path / INDEX

    return write


def test_reads_each_tensor_from_its_shard(sharded, tmp_path):
    shards = Shards(sharded({"a": FIRST, "b": SECOND}))
    assert list(shards.tensors) == ["a", "b"]
    np.testing.assert_array_equal(shards.rows("a", 1, 2), [[2, 3]])
    np.testing.assert_array_equal(shards.rows("b", 1, 2), [[-2, -3]])
    assert shards.paths == (tmp_path / INDEX, tmp_path / FIRST, tmp_path / SECOND)


def test_a_missing_shard_is_named_with_what_to_do(sharded, tmp_path):
    index = sharded({"a": FIRST, "b": SECOND})
    (tmp_path / SECOND).unlink()
    with pytest.raises(CheckpointError, match=f"'{SECOND}' is missing .*'aipc pull'"):
        Shards(index)


def test_a_tensor_that_its_shard_lacks(sharded):
    with pytest.raises(CheckpointError, match=f"places 'b' in '{FIRST}', which lacks it"):
        Shards(sharded({"a": FIRST, "b": FIRST}))


def test_a_tensor_that_the_index_lacks(sharded):
    with pytest.raises(CheckpointError, match="has no tensor 'spare'"):
        Shards(sharded({"a": FIRST})).rows("spare", 0, 1)


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "/etc/model.safetensors",
        "..\\model.safetensors",
        "C:model.safetensors",
        "sub/model.safetensors",
        ".hidden.safetensors",
        "model.bin",
        "a\x00.safetensors",
        "é.safetensors",
        "x" * 300 + ".safetensors",
        "",
        7,
    ],
)
def test_a_name_that_could_leave_the_folder_is_refused(sharded, name):
    with pytest.raises(CheckpointError, match="is no shard's file name"):
        Shards(sharded({"a": name}))


@pytest.mark.parametrize("weight_map", [{}, [], None, "a"])
def test_an_index_without_a_map(sharded, weight_map):
    with pytest.raises(CheckpointError, match="no weight_map"):
        Shards(sharded(weight_map))


def test_shards_may_be_links_into_the_hubs_cache(sharded, tmp_path):
    index = sharded({"a": FIRST})
    blob = tmp_path / "blobs"
    blob.mkdir()
    (tmp_path / FIRST).rename(blob / "0123")
    try:
        (tmp_path / FIRST).symlink_to(blob / "0123")
    except OSError:
        pytest.skip("this system makes no links")
    np.testing.assert_array_equal(Shards(index).rows("a", 0, 1), [[0, 1]])
