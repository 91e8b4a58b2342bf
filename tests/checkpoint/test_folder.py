from __future__ import annotations

import json

import numpy as np
import pytest

from aipc.checkpoint.folder import FolderTexts, find_gguf, open_weights, read_chat_template
from aipc.errors import CheckpointError, UnsafeModel, UnsupportedModel


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


def test_copies_the_text_files_byte_by_byte_and_no_code(folder, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    texts = FolderTexts(folder)
    texts.write(target)
    names = {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert {path.name for path in target.iterdir()} == names
    assert {path.name for path in texts.paths} == names
    for name in names:
        assert (target / name).read_bytes() == (folder / name).read_bytes()


def test_never_copies_the_names_of_code(folder, tmp_path):
    auto_map = {"AutoConfig": "configuration_phi3.Phi3Config"}
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text(json.dumps({"auto_map": auto_map, "model_type": "phi3"}))
    FolderTexts(folder).write(tmp_path)
    for name in ("config.json", "tokenizer_config.json"):
        assert json.loads((tmp_path / name).read_text()) == {"model_type": "phi3"}


def test_a_folder_without_a_tokenizer_says_how_to_get_one(folder, tmp_path):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModel, match=r"no tokenizer.json; .*save_pretrained"):
        FolderTexts(folder).write(tmp_path)


def test_a_damaged_configuration_is_not_copied(folder, tmp_path):
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config.json' is damaged"):
        FolderTexts(folder).write(tmp_path)


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


def test_shards_without_their_index_are_no_weights(make_safetensors, tmp_path):
    make_safetensors({"a": ("F32", np.zeros(1, np.float32))}, "model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"nor model.safetensors.index.json|has neither"):
        open_weights(tmp_path)


def test_finds_the_one_gguf(folder):
    assert find_gguf(folder) is None
    (folder / "phi.gguf").write_bytes(b"")
    assert find_gguf(folder) == folder / "phi.gguf"


def test_several_ggufs_are_a_question(folder):
    for name in ("q4.gguf", "q8.gguf"):
        (folder / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"2 GGUF files; name one of q4.gguf, q8.gguf"):
        find_gguf(folder)


def test_safetensors_go_before_a_gguf(make_safetensors, tmp_path):
    make_safetensors({"a": ("F32", np.zeros(1, np.float32))})
    (tmp_path / "phi.gguf").write_bytes(b"")
    assert find_gguf(tmp_path) is None


@pytest.fixture
def tokenizer_config(tmp_path):
    """Write tokenizer_config.json with a chat template and return its folder."""

    def write(template):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
        return tmp_path

    return write


def test_none_where_there_is_none(tmp_path):
    assert read_chat_template(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert read_chat_template(tmp_path) is None


def test_the_tokenizer_configurations_text(tokenizer_config):
    assert read_chat_template(tokenizer_config("{{ a }}")) == "{{ a }}"


def test_a_file_of_its_own_goes_before(tokenizer_config):
    folder = tokenizer_config("{{ a }}")
    (folder / "chat_template.jinja").write_bytes("{{ ü }}\r\n".encode())
    assert read_chat_template(folder) == "{{ ü }}\r\n"


def test_of_several_the_one_called_default(tokenizer_config):
    named = [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
    assert read_chat_template(tokenizer_config(named)) == "d"


def test_several_without_a_default_are_named(tokenizer_config):
    with pytest.raises(UnsupportedModel, match="templates rag, none called 'default'"):
        read_chat_template(tokenizer_config([{"name": "rag", "template": "r"}]))


@pytest.mark.parametrize(
    "template", [7, {"a": 1}, [1], [{"template": "x"}], [{"name": "default"}], "\ud800"]
)
def test_what_is_no_template(tokenizer_config, template):
    with pytest.raises(CheckpointError, match=r"tokenizer_config.json' is damaged"):
        read_chat_template(tokenizer_config(template))


@pytest.mark.parametrize("data", [b"\xff", b"x" * (2**20 + 1)])
def test_a_file_that_is_no_template(tmp_path, data):
    (tmp_path / "chat_template.jinja").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"chat_template.jinja' is damaged"):
        read_chat_template(tmp_path)
