import json

import pytest

from aipc.checkpoint.chat_templates import read_chat_templates, write_chat_templates
from aipc.errors import CheckpointError, UnsupportedModel


@pytest.fixture
def tokenizer_config(tmp_path):
    """Write tokenizer_config.json with a chat template and return its folder."""

    def write(template):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
        return tmp_path

    return write


def test_none_where_there_is_none(tmp_path):
    assert read_chat_templates(tmp_path) == {}
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert read_chat_templates(tmp_path) == {}


def test_the_tokenizer_configurations_text(tokenizer_config):
    assert read_chat_templates(tokenizer_config("{{ a }}")) == {"default": "{{ a }}"}


def test_a_file_of_its_own_goes_before(tokenizer_config):
    folder = tokenizer_config("{{ a }}")
    (folder / "chat_template.jinja").write_bytes("{{ ü }}\r\n".encode())
    assert read_chat_templates(folder) == {"default": "{{ ü }}\r\n"}


NAMED = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]


def test_several_with_their_names(tokenizer_config):
    assert read_chat_templates(tokenizer_config(NAMED)) == {"tool_use": "t", "default": "d"}


def test_files_of_their_own_as_transformers_saves_several(tokenizer_config):
    folder = tokenizer_config(NAMED)
    write_chat_templates({"default": "D", "tool_use": "T"}, folder)
    assert (folder / "additional_chat_templates" / "tool_use.jinja").read_text() == "T"
    assert read_chat_templates(folder) == {"default": "D", "tool_use": "T"}


def test_an_additional_file_beside_the_configurations_default(tokenizer_config):
    folder = tokenizer_config("d")
    write_chat_templates({"tool_use": "T"}, folder)
    assert read_chat_templates(folder) == {"default": "d", "tool_use": "T"}


def test_a_processors_template_where_the_tokenizer_has_none(tmp_path):
    (tmp_path / "chat_template.json").write_text('{"chat_template": "p"}')
    assert read_chat_templates(tmp_path) == {"default": "p"}
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "t"}')
    assert read_chat_templates(tmp_path) == {"default": "t"}


def test_several_without_a_default_are_named(tokenizer_config):
    with pytest.raises(UnsupportedModel, match="templates rag, none called 'default'"):
        read_chat_templates(tokenizer_config([{"name": "rag", "template": "r"}]))


@pytest.mark.parametrize(
    "template", [7, {"a": 1}, [1], [{"template": "x"}], [{"name": "default"}], "\ud800"]
)
def test_what_is_no_template(tokenizer_config, template):
    with pytest.raises(
        CheckpointError, match=r"tokenizer_config.json' can't be right: .*; put the one"
    ):
        read_chat_templates(tokenizer_config(template))


@pytest.mark.parametrize(
    ("data", "why"), [(b"\xff", "is damaged: not UTF-8"), (b"x" * (2**20 + 1), "can't be right")]
)
def test_a_file_that_is_no_template(tmp_path, data, why):
    (tmp_path / "chat_template.jinja").write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"chat_template.jinja' {why}"):
        read_chat_templates(tmp_path)
