from __future__ import annotations

import logging
from pathlib import Path

import pytest

from aipc.errors import UsageError
from aipc.facade import arguments

KNOWN = ("device", "use_cache", "trust_remote_code")


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("use_cahce", "did you mean 'use_cache'"),
        ("zzz", "known: device, trust_remote_code, use_cache"),
        ("token", "HF_TOKEN"),
        ("cache_dir", "AIPC_HOME"),
        ("torch_dtype", "CompilerConfig"),
    ],
)
def test_an_argument_without_a_meaning_is_refused_with_what_to_say_instead(name, fix):
    with pytest.raises(UsageError, match=f"does not take '{name}'") as refused:
        arguments.refuse_others({name: None}, KNOWN)
    assert fix in refused.value.fix


def test_no_other_argument_is_no_error():
    arguments.refuse_others({}, KNOWN)


def test_that_remote_code_is_never_run_is_said_once(caplog):
    with caplog.at_level(logging.WARNING, "aipc"):
        for _ in range(2):
            arguments.check_needless(use_cache=True, trust_remote_code=True)
    assert [record.message for record in caplog.records] == [
        "trust_remote_code has no effect: aipc never runs code that comes with a model"
    ]


def test_what_asks_for_nothing_is_not_spoken_of(caplog):
    arguments.check_needless(use_cache=True, trust_remote_code=False)
    assert not caplog.records


def test_a_model_without_a_cache_can_not_be_had():
    with pytest.raises(UsageError, match="use_cache=False"):
        arguments.check_needless(use_cache=False, trust_remote_code=False)


def test_a_revision_is_part_of_the_name():
    assert arguments.full_name("org/model", None) == "org/model"
    assert arguments.full_name("org/model", "v2") == "org/model@v2"
    assert arguments.full_name(Path("here"), None) == "here"


def test_a_loaded_module_is_no_name():
    with pytest.raises(UsageError, match="dict is no name"):
        arguments.full_name({}, None)


def test_an_artifact_can_not_be_exported_again(tmp_path):
    (tmp_path / "openvino_model.xml").touch()
    assert arguments.is_converted(str(tmp_path), export=None)
    with pytest.raises(UsageError, match="converted already; leave out export=True"):
        arguments.is_converted(str(tmp_path), export=True)


def test_a_checkpoint_is_not_converted(tmp_path):
    (tmp_path / "config.json").touch()
    assert not arguments.is_converted(str(tmp_path), export=True)
