import json

import pytest

from aipc.artifact.config import (
    read_config,
    read_context,
    read_generation_config,
    read_stop_ids,
    without_absent_ids,
)
from aipc.errors import CheckpointError


def write(folder, generation=None, config=None):
    for name, content in [("generation_config.json", generation), ("config.json", config)]:
        if content is not None:
            (folder / name).write_text(json.dumps(content))


def test_the_generation_config_as_it_stands(tmp_path):
    assert read_generation_config(tmp_path) == {}
    write(tmp_path, {"temperature": 0.6})
    assert read_generation_config(tmp_path) == {"temperature": 0.6}


@pytest.mark.parametrize(
    ("generation", "config", "ids"),
    [
        (None, None, set()),
        ({}, {"eos_token_id": None}, set()),
        ({"eos_token_id": 2}, None, {2}),
        (None, {"eos_token_id": 0}, {0}),
        ({"eos_token_id": [32000, 32001, 32007]}, {"eos_token_id": 32000}, {32000, 32001, 32007}),
        ({"eos_token_id": 7}, {"eos_token_id": [8]}, {7, 8}),
        ({"eos_token_id": -1}, {"eos_token_id": [2, -1, None]}, {2}),
        ({"eos_token_id": []}, {"eos_token_id": -1}, set()),
    ],
)
def test_both_files_stop_ids_count(tmp_path, generation, config, ids):
    write(tmp_path, generation, config)
    assert read_stop_ids(tmp_path) == ids


@pytest.mark.parametrize("stated", ["2", [2, "3"], -2, True, 2.0, {"a": 1}])
def test_what_is_no_id(tmp_path, stated):
    write(tmp_path, {"eos_token_id": stated})
    with pytest.raises(
        CheckpointError, match=r"generation_config.json' can't be right: its eos_token_id"
    ):
        read_stop_ids(tmp_path)


def test_a_builders_folder_says_the_same_in_genai_config(tmp_path):
    genai = {
        "model": {"context_length": 8192, "eos_token_id": [2, 0]},
        "search": {"do_sample": False, "top_k": 50},
    }
    (tmp_path / "genai_config.json").write_text(json.dumps(genai))
    assert read_context(tmp_path) == 8192
    assert read_stop_ids(tmp_path) == {0, 2}
    assert read_generation_config(tmp_path) == {"do_sample": False, "top_k": 50}
    write(tmp_path, {"eos_token_id": 7, "top_k": 3}, {"max_position_embeddings": 4096})
    assert read_context(tmp_path) == 4096
    assert read_stop_ids(tmp_path) == {0, 2, 7}
    assert read_generation_config(tmp_path) == {"eos_token_id": 7, "top_k": 3}


def test_a_context_that_is_not_stated(tmp_path):
    assert read_context(tmp_path) is None
    write(tmp_path, config={"max_position_embeddings": None})
    assert read_context(tmp_path) is None


@pytest.mark.parametrize("stated", [0, -1, "4096", 4096.0, True, 2**40, float("nan")])
def test_a_context_that_no_model_has_is_refused_by_name(stated, tmp_path):
    write(tmp_path, config={"max_position_embeddings": stated})
    with pytest.raises(CheckpointError, match=r"its max_position_embeddings is .* no whole number"):
        read_context(tmp_path)


def test_numbers_that_no_model_has_are_refused_once_and_used_nowhere(tmp_path):
    write(tmp_path, config={"num_hidden_layers": 10**9, "max_position_embeddings": 64})
    assert read_config(tmp_path) == {}
    with pytest.raises(CheckpointError, match="its num_hidden_layers is 1000000000, no whole"):
        read_context(tmp_path)


def test_numbers_of_genai_s_config_are_looked_through_too(tmp_path):
    genai = {"model": {"context_length": -5, "decoder": {"head_size": 64}}}
    (tmp_path / "genai_config.json").write_text(json.dumps(genai))
    with pytest.raises(CheckpointError, match=r"genai_config.json' can't be right.*context_length"):
        read_context(tmp_path)


def test_ids_that_mean_none_are_left_out_and_all_else_stays():
    stated = {"eos_token_id": [-1, 2], "bos_token_id": -1, "pad_token_id": None, "top_k": -1}
    assert without_absent_ids(stated) == {"eos_token_id": [2], "top_k": -1}
    assert without_absent_ids({"eos_token_id": [-1], "bos_token_id": 0}) == {"bos_token_id": 0}


@pytest.mark.parametrize(
    ("scaling", "context"),
    [
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        ({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 8192}, 32768),
        ({"rope_type": "yarn", "factor": 4.0}, 32768),
        ({"rope_type": "linear", "factor": 4.0}, 32768),
        (None, 32768),
    ],
)
def test_yarn_stretches_a_context_that_the_config_leaves_at_the_original(
    scaling, context, tmp_path
):
    config = {"max_position_embeddings": 32768, "rope_scaling": scaling}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_context(tmp_path) == context
