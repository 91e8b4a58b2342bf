import json

import pytest

from aipc.errors import ModelNotFound
from aipc.models.lookalikes import lookalike
from aipc.models.names import resolve
from aipc.models.source import FolderSource

ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "org/base"}


def folder_of(tmp_path, *names):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("names", "what", "fix"),
    [
        (["adapter_config.json", "adapter_model.bin"], "a LoRA adapter, no whole", "--adapter /"),
        (["config.json", "adapters.safetensors"], "adapter of mlx-lm", "mlx_lm.fuse"),
        (["model_index.json", "unet/config.json"], "Diffusers pipeline", "aipc runs text"),
        (["params.json", "consolidated.safetensors"], "its maker's own format", "config.json and"),
        (["params.json", "consolidated.00.pth"], "its maker's own format", "config.json and"),
        (["config.json", "openvino_language_model.xml"], "export of several parts", "text model"),
        (["config.json", "model.onnx"], "without genai_config.json", "name the checkpoint"),
        (["config.json", "onnx/decoder.onnx"], "without genai_config.json", "name the checkpoint"),
        (["config.json", "tf_model.h5"], "another library's format .tf_model.h5", "safetensors"),
        (["config.json", "weights.npz"], "another library's format .weights.npz", "safetensors"),
        (["latest", "zero_to_fp32.py"], "a DeepSpeed checkpoint", "zero_to_fp32.py . OUT"),
        (["config.json", "model-1.safetensors.partial"], "not downloaded to its end", "finish"),
    ],
)
def test_each_says_what_it_is_and_what_to_do(tmp_path, names, what, fix):
    folder = folder_of(tmp_path, *names)
    with pytest.raises(ModelNotFound, match=rf"'{folder}'.*{what}.*; .*{fix}"):
        resolve(str(folder))


def test_an_adapter_names_its_base_and_the_command_that_takes_it(tmp_path):
    folder = folder_of(tmp_path, "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(ADAPTER))
    with pytest.raises(ModelNotFound) as refused:
        resolve(str(folder))
    assert refused.value.what == f"'{folder}' is an adapter for org/base, no whole model"
    assert refused.value.fix == f"aipc run -m org/base --adapter {folder}"


def test_another_kind_of_adapter_has_to_be_merged(tmp_path):
    folder = folder_of(tmp_path, "adapter_model.safetensors")
    stated = ADAPTER | {"peft_type": "IA3"}
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    with pytest.raises(ModelNotFound, match=r"of the kind 'IA3', no whole model; merge it into"):
        resolve(str(folder))


def test_a_training_runs_folder_names_its_newest_checkpoint(tmp_path):
    folder_of(tmp_path, "checkpoint-500/model.safetensors", "checkpoint-1000/model.safetensors")
    with pytest.raises(ModelNotFound, match=r"training run; name one, such as '.*checkpoint-1000'"):
        resolve(str(tmp_path))


def test_the_hubs_cache_names_its_snapshot(tmp_path):
    folder_of(tmp_path, "snapshots/0123abc/config.json", "refs/main")
    with pytest.raises(ModelNotFound, match=r"cache of a repository; name '.*0123abc'"):
        resolve(str(tmp_path))


def test_a_folder_around_a_model_names_it(tmp_path):
    folder_of(tmp_path, "inner/config.json", "inner/model.safetensors", "README.md")
    with pytest.raises(ModelNotFound, match=r"holds no model; name '.*inner'"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    "names",
    [
        ["config.json", "model.safetensors", "adapter_config.json", "optimizer.pt"],
        ["config.json", "model.safetensors.index.json", "consolidated.safetensors"],
        ["model-q4.gguf", "model.onnx"],
        ["config.json", "pytorch_model.bin"],
    ],
)
def test_a_checkpoint_is_one_whatever_lies_beside_it(tmp_path, names):
    folder = folder_of(tmp_path, *names)
    assert lookalike("it", names) == ("", "")
    assert resolve(str(folder)) == FolderSource(folder)
