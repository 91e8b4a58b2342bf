from __future__ import annotations

import json

import pytest

from aipc.errors import ArtifactError
from aipc.facade.pretrained import read_config, read_generation_config


def write(folder, content):
    (folder / "config.json").write_text(json.dumps(content))
    return str(folder)


def test_a_folders_config_is_read_without_code_of_the_models_own(tmp_path):
    coded = {"model_type": "phi3", "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"}}
    assert read_config(write(tmp_path, coded), None).model_type == "phi3"


@pytest.mark.parametrize("content", [{"model_type": "phi9"}, {}])
def test_a_network_that_transformers_does_not_know_is_refused(content, tmp_path):
    with pytest.raises(
        ArtifactError, match=r"knows no network as .*config\.json.*; use aipc\.load"
    ):
        read_config(write(tmp_path, content), None)


def test_a_vendors_folder_without_a_generation_config_has_transformers_own(tmp_path):
    assert read_generation_config(str(tmp_path)).do_sample in {None, False}
