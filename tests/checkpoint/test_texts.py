import json

import pytest
import tiny

from aipc.checkpoint.texts import FolderTexts
from aipc.errors import CheckpointError, UnsupportedModel

CONFIG = {"model_type": "phi3"}


@pytest.fixture
def folder(tmp_path):
    """A folder with the text files of a repository and some of its code."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "phi3"}')
    (folder / "tokenizer.json").write_bytes(
        b'{"model":\r\n {"type": "BPE", "vocab": {}, "merges": []}}'
    )
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "configuration_phi3.py").write_text("raise SystemExit")
    (folder / "README.md").write_text("# Phi")
    return folder


def test_copies_the_text_files_byte_by_byte_and_no_code(folder, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    texts = FolderTexts(folder, CONFIG)
    texts.write(target)
    names = {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert {path.name for path in target.iterdir()} == names
    assert {path.name for path in texts.paths} == names
    for name in names:
        assert (target / name).read_bytes() == (folder / name).read_bytes()


def test_never_copies_the_names_of_code(folder, tmp_path):
    auto_map = {"AutoConfig": "configuration_phi3.Phi3Config"}
    named = {"auto_map": auto_map, "model_type": "phi3"}
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text(json.dumps(named))
    FolderTexts(folder, named).write(tmp_path)
    for name in ("config.json", "tokenizer_config.json"):
        assert json.loads((tmp_path / name).read_text()) == {"model_type": "phi3"}


def test_a_folder_without_a_tokenizer_says_how_to_get_one(folder, tmp_path):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModel, match=r"no tokenizer.json; .*save_pretrained"):
        FolderTexts(folder, CONFIG).write(tmp_path)


def test_a_damaged_configuration_is_not_copied(folder, tmp_path):
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config.json' is damaged"):
        FolderTexts(folder, CONFIG).write(tmp_path)


def test_the_configuration_of_the_text_network_is_written(folder, tmp_path):
    FolderTexts(folder, {"model_type": "llama", "hidden_size": 4}).write(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written == {"model_type": "llama", "hidden_size": 4}


def test_token_ids_that_mean_none_are_not_written(folder, tmp_path):
    stated = {"eos_token_id": [-1], "pad_token_id": -1, "temperature": 0.5}
    (folder / "generation_config.json").write_text(json.dumps(stated))
    FolderTexts(folder, CONFIG).write(tmp_path)
    written = json.loads((tmp_path / "generation_config.json").read_text())
    assert written == {"temperature": 0.5}


def test_named_templates_become_files_that_transformers_reads(folder, tmp_path):
    (folder / "chat_template.jinja").unlink()
    named = [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    FolderTexts(folder, CONFIG).write(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text() == "D"
    assert (tmp_path / "additional_chat_templates" / "tool_use.jinja").read_text() == "T"


def test_what_the_tokenizer_is_made_of_is_among_the_files(folder):
    (folder / "tokenizer.json").unlink()
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json"):
        (folder / name).write_text("{}")
    names = {path.name for path in FolderTexts(folder, CONFIG).paths}
    assert {"vocab.json", "merges.txt", "special_tokens_map.json"} < names


def test_a_folder_without_a_tokenizer_configuration_gets_one(folder, tmp_path):
    (folder / "tokenizer_config.json").unlink()
    FolderTexts(folder, CONFIG).write(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == {}


@pytest.mark.parametrize("content", ["{", '{"version": "1.0"}', '{"model": {"type": "New"}}'])
def test_a_tokenizer_that_no_runtime_could_read_is_refused_before_converting(
    folder, tmp_path, content
):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(UnsupportedModel, match=r"can't read '.*r.json': .*; fetch it again"):
        FolderTexts(folder, CONFIG).write(tmp_path)


@pytest.mark.parametrize("number", [2**17, 2**31, 2**32 - 1])
def test_an_id_far_beyond_the_vocabulary_is_refused_before_converting(folder, tmp_path, number):
    tiny.write_tokenizer(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["far"] = number
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"a token has the id {number:,}, and there are 261"):
        FolderTexts(folder, CONFIG).write(tmp_path)


def test_a_mark_before_the_text_is_not_passed_on(folder, tmp_path):
    (folder / "config.json").write_text('{"model_type": "phi3"}', encoding="utf-8-sig")
    FolderTexts(folder, CONFIG).write(tmp_path)
    assert (tmp_path / "config.json").read_bytes()[:1] == b"{"


def test_numbers_that_json_has_not_are_not_written(folder, tmp_path):
    stated = {"a": float("inf"), "b": {"c": float("nan"), "d": 1.5}, "e": 2}
    FolderTexts(folder, stated).write(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"b": {"d": 1.5}, "e": 2}
