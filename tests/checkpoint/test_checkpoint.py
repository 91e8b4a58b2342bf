import json
import os
from pathlib import Path

import numpy as np
import pytest

from aipc.checkpoint import Checkpoint, open_checkpoint
from aipc.errors import CheckpointError, UnsafeModel, UnsupportedModel

TOKENIZER = '{"model": {"type": "BPE", "vocab": {}, "merges": []}}'


@pytest.fixture
def folder(make_safetensors, tmp_path):
    """A checkpoint folder with one tensor of six rows."""
    make_safetensors({"w": ("F32", np.arange(12, dtype=np.float32).reshape(6, 2))})
    (tmp_path / "config.json").write_text('{"model_type": "llama", "hidden_size": 2}')
    (tmp_path / "tokenizer.json").write_text(TOKENIZER)
    return tmp_path


def test_a_folder(folder):
    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.path == folder
        assert checkpoint.config["hidden_size"] == 2
        assert checkpoint.tensors["w"].shape == (6, 2)
        assert {path.name for path in checkpoint.files} == {
            "config.json",
            "tokenizer.json",
            "model.safetensors",
        }
        np.testing.assert_array_equal(checkpoint.rows("w", 1, 3), [[2, 3], [4, 5]])


def test_rows_default_to_all_of_them(folder):
    checkpoint = open_checkpoint(folder)
    assert checkpoint.rows("w").shape == (6, 2)
    assert checkpoint.rows("w", 4).shape == (2, 2)
    assert checkpoint.rows("w", stop=1).shape == (1, 2)


def test_writes_the_text_files_into_a_new_folder(folder):
    open_checkpoint(folder).write_text_files(folder / "new" / "place")
    assert (folder / "new" / "place" / "tokenizer.json").read_text() == TOKENIZER


@pytest.mark.parametrize("inside", [True, False], ids=["folder", "file"])
def test_a_gguf_by_its_name_or_in_a_folder(make_gguf, tmp_path, inside):
    path = make_gguf(name="Tiny.GGUF" if os.name == "nt" else "tiny.gguf")
    checkpoint = open_checkpoint(tmp_path if inside else path)
    assert checkpoint.files == (path,)
    assert checkpoint.config["model_type"] == "llama"
    assert checkpoint.rows("model.embed_tokens.weight", 2, 4).shape == (2, 32)


def test_the_small_real_model_opens_in_less_than_a_second(smollm_gguf):
    import time

    begun = time.process_time()
    checkpoint = open_checkpoint(smollm_gguf)
    assert time.process_time() - begun < 1
    assert len(checkpoint.tensors) == 272


def test_weights_without_a_configuration(folder):
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has weights but no config.json; put the model"):
        open_checkpoint(folder)


def test_a_folder_of_pickles(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(UnsafeModel):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "nothing.gguf", "notes.txt"])
def test_what_is_no_checkpoint(tmp_path, name):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CheckpointError, match=r"neither a folder nor a .gguf file; name"):
        open_checkpoint(tmp_path / name)


def test_a_name_that_no_system_takes():
    with pytest.raises(CheckpointError):
        open_checkpoint(Path("x" * 5000))


def test_what_is_no_weight_file_though_it_has_the_name(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="has neither"):
        open_checkpoint(tmp_path)


def test_damaged_gguf_files_give_nothing_but_our_errors(make_gguf, damage, refusals):
    def read_all(path):
        checkpoint = open_checkpoint(path)
        for name in checkpoint.tensors:
            checkpoint.rows(name)

    path = make_gguf()
    header_end = path.read_bytes().rindex(b"output_norm.weight") + 40
    messages = refusals(damage(path, 0, header_end, times=1500), read_all)
    assert len(messages) > 500
    assert not any("\n" in line for line in messages)


def test_damaged_tokenizers_give_nothing_but_our_errors(make_gguf, damage, refusals, tmp_path):
    def write_texts(path):
        open_checkpoint(path).write_text_files(tmp_path / "out")
        json.loads((tmp_path / "out" / "tokenizer.json").read_text())

    path = make_gguf(tokenizer__chat_template="{{ messages }}")
    whole = path.read_bytes()
    first, last = whole.index(b"tokenizer.ggml.model"), whole.index(b"token_embd.weight")
    messages = refusals(damage(path, first, last, times=600), write_texts)
    assert len(messages) > 100
    assert not any("\n" in line for line in messages)


def test_it_is_one_class_for_all(folder, make_gguf):
    assert type(open_checkpoint(folder)) is Checkpoint
    assert type(open_checkpoint(make_gguf())) is Checkpoint


def test_an_adapter_beside_a_whole_model_is_left_out_with_a_word(folder):
    (folder / "adapter_config.json").write_text("{}")
    assert open_checkpoint(folder).notes == (
        "adapter_config.json is left out: the whole model beside it is used as it is",
    )


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_git_did_not_fetch(folder, name):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CheckpointError, match=rf"{name}' is no file yet, .*; run `git lfs pull`"):
        open_checkpoint(folder)


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("eos_token_id", "2", "give it a token's id"),
        ("eos_token_id", [2, -7], "give it a token's id"),
        ("bos_token_id", "<s>", "give it a token's id"),
        ("temperature", "hot", "correct that, or remove it"),
        ("top_p", float("nan"), "correct that, or remove it"),
        ("top_k", True, "correct that, or remove it"),
    ],
)
def test_what_a_runtime_would_stumble_over_is_found_when_it_is_opened(
    folder, file, key, value, fix
):
    (folder / file).write_text(json.dumps({"model_type": "llama", key: value}))
    with pytest.raises(CheckpointError, match=rf"{file}' can't be right: its {key} is .*; {fix}"):
        open_checkpoint(folder)


def test_what_is_stated_as_none_is_no_fault(folder):
    stated = {"temperature": None, "top_k": 0, "bos_token_id": None}
    (folder / "generation_config.json").write_text(json.dumps(stated))
    assert open_checkpoint(folder).config["model_type"] == "llama"


def test_a_stop_id_of_minus_one_is_none(folder):
    (folder / "config.json").write_text('{"model_type": "llama", "eos_token_id": -1}')
    assert "eos_token_id" not in open_checkpoint(folder).config


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"general__type": "adapter"},
            "is a LoRA adapter, no whole model; `aipc run -m BASE --adapter",
        ),
        ({"general__type": "mmproj"}, "that reads images or sound; name the .gguf file of the"),
        ({"general__architecture": "clip"}, "that reads images or sound; name the .gguf file of"),
    ],
)
def test_a_gguf_of_something_beside_a_model(make_gguf, changes, what):
    with pytest.raises(UnsupportedModel, match=what):
        open_checkpoint(make_gguf(**changes))
