"""Models in several files, as llama.cpp's gguf-split leaves them."""

from __future__ import annotations

import numpy as np
import pytest

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.gguf.parts import open_gguf
from aipc.checkpoint.gguf.weights import GgufFile
from aipc.errors import CheckpointError


@pytest.fixture
def split(make_gguf, tmp_path):
    """Write a tiny llama in three parts, some of whose keys differ; and whole beside them."""
    from gguf import GGUFWriter

    whole = make_gguf(name="whole.bin")
    stored = GgufFile(whole)
    names = list(stored.tensors)

    def write(number, parts=3, architecture="llama", total=11):
        held = names[number * 4 : number * 4 + 4]
        keys = {"split__no": number, "split__count": parts, "split__tensors__count": total}
        path = f"m-{number + 1:05}-of-00003.gguf"
        if number == 0:
            drop = [name for name in names if name not in held]
            kept = {name: stored.read_all(name) for name in held}
            return make_gguf(kept, drop, name=path, **keys)
        writer = GGUFWriter(tmp_path / path, architecture)
        for key, value in keys.items():
            writer.add_uint16(key.replace("__", "."), value)
        for name in held:
            writer.add_tensor(name, stored.read_all(name))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return tmp_path / path

    paths = [write(number) for number in range(3)]
    return tmp_path, write, paths, stored


def test_any_part_and_the_folder_open_the_whole(split):
    folder, _, paths, stored = split
    opened = [open_checkpoint(path) for path in (folder, *paths)]
    for checkpoint in opened:
        assert checkpoint.files == tuple(paths)
        assert len(checkpoint.tensors) == len(stored.tensors)
        assert checkpoint.config == opened[0].config
    for name in ("model.embed_tokens", "model.layers.0.mlp.down_proj", "model.norm"):
        rows = [checkpoint.rows(f"{name}.weight") for checkpoint in opened]
        for other in rows[1:]:
            np.testing.assert_array_equal(rows[0], other)
    np.testing.assert_array_equal(
        opened[1].rows("model.norm.weight"), stored.read_all("output_norm.weight")
    )


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_part_that_is_missing_is_named(split, missing):
    _, _, paths, _ = split
    paths[missing].unlink()
    left = paths[missing - 1]
    with pytest.raises(CheckpointError, match=rf"'{paths[missing].name}' is missing beside .*3 pa"):
        open_gguf(left)
    with pytest.raises(CheckpointError, match="is missing beside"):
        open_checkpoint(left.parent)


@pytest.mark.parametrize(
    ("number", "changes", "why"),
    [
        (1, {"parts": 4}, "says that it is part 2 of 4"),
        (1, {"architecture": "qwen2"}, "its network is no llama"),
        (2, {"total": 30}, "its model has other tensors than 11"),
    ],
)
def test_a_part_of_another_model_is_named(split, number, changes, why):
    _, write, paths, _ = split
    write(number, **changes)
    with pytest.raises(CheckpointError, match=f"'{paths[number]}' is no part of .*{why}"):
        open_gguf(paths[0])


def test_parts_under_each_others_names(split):
    _, _, paths, _ = split
    content = [path.read_bytes() for path in paths[1:]]
    for path, other in zip(paths[1:], reversed(content), strict=True):
        path.write_bytes(other)
    with pytest.raises(CheckpointError, match="says that it is part 3 of 3"):
        open_gguf(paths[0])


def test_a_part_under_a_name_of_its_own(split):
    folder, _, paths, _ = split
    paths[1].rename(folder / "mine.gguf")
    with pytest.raises(CheckpointError, match=r"is one of 3 parts .*its name does not say so"):
        open_gguf(folder / "mine.gguf")


def test_tensors_in_two_parts_or_in_none(split):
    _, write, paths, _ = split
    for path in paths:
        path.unlink()
    for number in range(3):
        write(number, total=12)
    with pytest.raises(CheckpointError, match="its parts hold 11 of 12 tensors"):
        open_gguf(paths[0])
