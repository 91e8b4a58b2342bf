import struct
import tracemalloc

import pytest

from aipc.checkpoint.gguf.header import read_header
from aipc.errors import CheckpointError, UnsupportedModel

STRING, ARRAY, UINT32 = 8, 9, 4


def text(value):
    return struct.pack("<Q", len(value)) + value


def gguf(pairs=b"", tensors=b"", *, pair_count=0, tensor_count=0, version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensor_count, pair_count) + pairs + tensors


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return read_header(path)

    return read


def test_reads_what_the_gguf_package_writes(make_gguf):
    header = read_header(make_gguf(test__flag=True, test__float=0.5, test__ids=[3, -1]))
    assert header.values["general.architecture"] == "llama"
    assert header.values["llama.block_count"] == 1
    assert header.values["test.flag"] is True
    assert header.values["test.float"] == 0.5
    assert header.values["test.ids"].tolist() == [3, -1]
    assert header.values["tokenizer.ggml.merges"] == ["a b"]
    embeddings = header.tensors[0]
    assert (embeddings.name, embeddings.axes, embeddings.kind) == ("token_embd.weight", (32, 6), 0)


def test_agrees_with_the_gguf_package_on_the_real_model(smollm_gguf):
    header = read_header(smollm_gguf)
    assert len(header.tensors) == 272
    assert len(header.values["tokenizer.ggml.tokens"]) == 49152
    assert header.values["tokenizer.ggml.tokens"][2] == "<|im_end|>"
    assert header.values["llama.rope.freq_base"] == 100000.0
    first = header.tensors[0]
    assert (first.name, first.axes, first.kind) == ("token_embd.weight", (576, 49152), 8)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (0, b"\xff", 255),
        (1, b"\xff", -1),
        (2, b"\xff\xff", 65535),
        (3, b"\xff\xff", -1),
        (5, struct.pack("<i", -7), -7),
        (6, struct.pack("<f", 0.5), 0.5),
        (7, b"\x01", True),
        (10, struct.pack("<Q", 2**63), 2**63),
        (11, struct.pack("<q", -(2**63)), -(2**63)),
        (12, struct.pack("<d", 1e300), 1e300),
    ],
)
def test_reads_every_kind_of_value(read, kind, value, expected):
    assert read(gguf(pair(b"k", kind, value), pair_count=1)).values == {"k": expected}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "only 0 bytes"),
        (b"GGUF", "only 4 bytes"),
        (b"GGML" + bytes(40), "does not begin with 'GGUF'"),
        (gguf(tensor_count=2**63), "9223372036854775808 tensors"),
        (gguf(pair_count=2**40), "1099511627776 metadata entries"),
        (gguf(pair_count=1), "1 metadata entries"),
        (gguf(struct.pack("<Q", 2**62) + bytes(99), pair_count=1), "4611686018427387904 bytes"),
        (gguf(pair(b"k", 13, bytes(9)), pair_count=1), "unknown metadata type 13"),
        (
            gguf(pair(b"k", ARRAY, struct.pack("<IQ", 13, 1)), pair_count=1),
            "unknown array type 13",
        ),
        (
            gguf(pair(b"k", ARRAY, struct.pack("<IQ", UINT32, 2**61)), pair_count=1),
            "2305843009213693952 numbers",
        ),
        (
            gguf(pair(b"k", ARRAY, struct.pack("<IQ", STRING, 3) + bytes(16)), pair_count=1),
            "3 texts",
        ),
        (gguf(pair(b"k", STRING, text(b"\xff")), pair_count=1), "is not UTF-8"),
        (gguf(pair(b"k", 0, b"1") * 2, pair_count=2), "'k' is in its metadata twice"),
        (
            gguf(tensors=text(b"w") + struct.pack("<I", 5) + bytes(60), tensor_count=1),
            "'w' has 5 axes",
        ),
        (
            gguf(tensors=text(b"w") + struct.pack("<I", 0) + bytes(60), tensor_count=1),
            "'w' has 0 axes",
        ),
    ],
)
def test_a_structure_that_lies_is_refused_in_one_line(read, content, why):
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=why) as caught:
        read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "model.gguf" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 2**20


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (gguf(version=1), "of version 1"),
        (gguf(version=4), "of version 4"),
        (gguf(version=3 << 24), "big-endian"),
        (
            gguf(pair(b"k", ARRAY, struct.pack("<IQ", ARRAY, 1) + bytes(12)), pair_count=1),
            "arrays of arrays",
        ),
    ],
)
def test_sound_files_of_another_make_are_unsupported(read, content, why):
    with pytest.raises(UnsupportedModel, match=why):
        read(content)


def test_every_truncation_of_the_header_is_noticed(make_gguf, shorten):
    path = make_gguf()
    for cut in shorten(path, read_header(path).stop):
        with pytest.raises(CheckpointError):
            read_header(cut)


def test_damaged_headers_give_nothing_but_our_errors(make_gguf, damage, refusals):
    path = make_gguf()
    files = damage(path, 0, read_header(path).stop, times=2000)
    assert len(refusals(files, read_header)) > 300


def test_a_text_longer_than_the_limit_is_refused_though_the_file_holds_it(tmp_path):
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(gguf(text(b"k") + struct.pack("<IQ", STRING, 2**30), pair_count=1))
        file.truncate(2**31)
    with pytest.raises(CheckpointError, match="1073741824 bytes stated"):
        read_header(path)
