from __future__ import annotations

import numpy as np
import pytest

from aipc.checkpoint.folder import find_gguf, open_weights
from aipc.errors import CheckpointError, UnsafeModel


@pytest.fixture
def folder(tmp_path):
    """A folder with the text files of a repository and some of its code."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "phi3"}')
    (folder / "tokenizer.json").write_bytes(b'{"version":\r\n "1.0"}')
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "configuration_phi3.py").write_text("raise SystemExit")
    (folder / "README.md").write_text("# Phi")
    return folder


def test_opens_the_single_file_before_the_shards(make_safetensors, tmp_path):
    path = make_safetensors({"a": ("F32", np.zeros(1, np.float32))})
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    assert open_weights(tmp_path).paths == (path,)


def test_opens_shards_by_their_index(make_safetensors, tmp_path):
    shard = make_safetensors({"a": ("F32", np.zeros(1, np.float32))}, "model-1.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    assert open_weights(tmp_path).paths == (index, shard)


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "pytorch_model-00001-of-00002.bin",
        "model.pt",
        "a.pth",
        "a.ckpt",
        "a.pkl",
    ],
)
def test_pickles_alone_are_unsafe(folder, name):
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(UnsafeModel, match=f"pickle \\({name}\\).*; take .* safetensors"):
        open_weights(folder)


def test_no_weights_at_all(folder):
    with pytest.raises(CheckpointError, match=r"has neither model.safetensors, .* 'aipc pull'"):
        open_weights(folder)


ZERO = {"a": ("F32", np.zeros(1, np.float32))}


@pytest.mark.parametrize(
    "names", [["model-00001-of-00002.safetensors"], ["one.safetensors", "two.safetensors"]]
)
def test_several_files_without_their_index(make_safetensors, tmp_path, names):
    for name in names:
        make_safetensors(ZERO, name)
    with pytest.raises(CheckpointError, match=rf"such as {names[0]}, and no .*; fetch that too"):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["model.fp16.safetensors", "model-00001-of-00001.safetensors"])
def test_the_one_file_there_is_whatever_its_name(make_safetensors, tmp_path, name):
    path = make_safetensors(ZERO, name)
    make_safetensors(ZERO, "adapter_model.safetensors")
    assert open_weights(tmp_path).paths == (path,)


def test_finds_the_one_gguf(folder):
    assert find_gguf(folder) is None
    (folder / "phi.gguf").write_bytes(b"")
    assert find_gguf(folder) == folder / "phi.gguf"


def test_several_ggufs_are_a_question(folder):
    for name in ("q4.gguf", "q8.gguf"):
        (folder / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"2 GGUF files; name one of q4.gguf, q8.gguf"):
        find_gguf(folder)


def test_the_parts_of_one_model_are_no_question(folder):
    for name in ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "mmproj-big.gguf"):
        (folder / name).write_bytes(b"")
    assert find_gguf(folder) == folder / "big-00001-of-00002.gguf"
    (folder / "small.gguf").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"name one of big-00001-of-00002.gguf, small.gguf"):
        find_gguf(folder)


def test_safetensors_go_before_a_gguf(make_safetensors, tmp_path):
    make_safetensors({"a": ("F32", np.zeros(1, np.float32))})
    (tmp_path / "phi.gguf").write_bytes(b"")
    assert find_gguf(tmp_path) is None
