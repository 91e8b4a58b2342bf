from __future__ import annotations

import json

import pytest

from aipc.checkpoint.quantized.settings import read_settings
from aipc.errors import CheckpointError

STATED = {"quant_method": "gptq", "bits": 4}


@pytest.mark.parametrize(
    "config",
    [
        {"quantization_config": STATED},
        {"compression_config": STATED},
        {"text_config": {"quantization_config": STATED}},
    ],
)
def test_settings_stand_in_the_config_or_in_that_of_its_text_network(config, tmp_path):
    found = read_settings(tmp_path, config)
    assert (found.method, found.values) == ("gptq", STATED)
    assert found.path == tmp_path / "config.json"


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ({"load_in_4bit": True}, "bitsandbytes"),
        ({"load_in_8bit": True, "quant_method": "bitsandbytes"}, "bitsandbytes"),
        ({"config_groups": {}}, "compressed-tensors"),
        ({}, "unknown"),
    ],
)
def test_older_settings_name_no_method(values, method, tmp_path):
    assert read_settings(tmp_path, {"quantization_config": values}).method == method


def test_settings_beside_the_config_come_second(tmp_path):
    (tmp_path / "quantize_config.json").write_text(json.dumps({"bits": 8}))
    assert read_settings(tmp_path, {"quantization_config": STATED}).values["bits"] == 4
    assert read_settings(tmp_path, {"quantization_config": None}).values["bits"] == 8


def test_no_settings_are_none(tmp_path):
    assert read_settings(tmp_path, {"model_type": "llama"}) is None


@pytest.mark.parametrize("value", [[], "gptq", 4])
def test_settings_that_are_no_object_are_refused(value, tmp_path):
    with pytest.raises(CheckpointError, match="quantization_config is no object"):
        read_settings(tmp_path, {"quantization_config": value})
