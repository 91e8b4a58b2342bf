from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pytest

from aipc.artifact.onnx_file import External, read_references
from aipc.devices import Device
from aipc.errors import ArtifactError
from aipc.runtimes.onnx.folder import open_folder
from aipc.runtimes.onnx.provider import find_provider

onnx = pytest.importorskip("onnx", reason="changes the model's references")


@pytest.fixture
def folder(tiny_onnx):
    return tiny_onnx("llama-gqa")[0]


def configure(folder, change):
    file = folder / "genai_config.json"
    config = json.loads(file.read_text())
    change(config["model"])
    file.write_text(json.dumps(config))


def options(folder, **values):
    configure(folder, lambda model: model["decoder"]["session_options"].update(values))


def refer(folder, key, value):
    """Make the first external tensor say ``value``."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.external_data)
    next(entry for entry in tensor.external_data if entry.key == key).value = value
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def test_the_whole_artifact_is_read_as_the_onnx_package_reads_it(tiny_onnx):
    file = tiny_onnx("phi3-longrope")[0] / "model.onnx"
    model = onnx.load(file, load_external_data=False)
    found = read_references(file)
    entries = [
        {entry.key: entry.value for entry in tensor.external_data}
        for tensor in model.graph.initializer
    ]
    assert found.external == {
        External(e["location"], int(e["offset"]), int(e["length"])) for e in entries if e
    }
    assert found.operators >= {node.op_type for node in model.graph.node}
    assert set(found.input_types) == {value.name for value in model.graph.input}


def test_what_is_needed_to_run_is_read(folder, tiny_onnx):
    found = open_folder(folder)
    assert (found.context, found.vocabulary, found.switch) == (128, 260, None)
    assert found.token_bytes == 2 * 2 * 2 * 16 * 4
    assert found.providers == frozenset()
    other = open_folder(tiny_onnx("phi3-longrope", "cuda")[0])
    assert other.token_bytes == 2 * 2 * 2 * 16 * 2
    assert (other.providers, other.switch) == ({"cuda"}, 12)


def test_a_builders_folder_has_no_config_json(folder):
    (folder / "config.json").unlink()
    configure(folder, lambda model: model.update(type="phi3", context_length=131072))
    assert open_folder(folder).switch == 4096


@pytest.mark.parametrize(
    ("target", "kind", "runs"),
    [
        ("cpu", "cpu", True),
        ("cuda", "cpu", True),
        ("cuda", "cuda", True),
        ("cpu", "cuda", False),
        ("webgpu", "directml", False),
    ],
)
def test_a_folder_runs_where_it_was_made_for_and_on_the_cpu(target, kind, runs, tiny_onnx):
    found = open_folder(tiny_onnx("llama-gqa", target)[0])
    if runs:
        found.check_provider(find_provider(kind))
        return
    with pytest.raises(ArtifactError, match=f"convert the model with --for {kind}"):
        found.check_provider(find_provider(kind))


def test_a_graph_in_float16_is_refused_where_that_is_missing(tiny_onnx):
    half = open_folder(tiny_onnx("llama-gqa", "webgpu")[0])
    old = Device("WEBGPU", "webgpu", "an old GPU", precisions=("fp32",))
    message = "computes in fp16, which WEBGPU does not; .* --for webgpu --activations fp32"
    with pytest.raises(ArtifactError, match=message):
        half.check_device(old)
    half.check_device(replace(old, precisions=("fp32", "fp16")))
    half.check_device(Device("CPU", "cpu", "a CPU", precisions=("fp32",)))
    open_folder(tiny_onnx("llama-gqa", "webgpu", "fp32")[0]).check_device(old)


@pytest.mark.parametrize(
    "location", ["../model.onnx.data", "/etc/passwd", "sub/model.data", "..", "", "C:\\x", "a\\b"]
)
def test_external_data_outside_the_folder_is_refused(location, folder):
    refer(folder, "location", location)
    with pytest.raises(ArtifactError, match="outside its folder"):
        open_folder(folder)


@pytest.mark.parametrize("name", ["model.onnx.data", "model.onnx"])
def test_a_link_is_refused_with_the_command_that_copies(name, folder, tmp_path):
    shutil.move(folder / name, tmp_path / name)
    try:
        (folder / name).symlink_to(tmp_path / name)
    except OSError:
        pytest.skip("this system allows no symbolic links")
    with pytest.raises(ArtifactError, match=rf"{name}' is a link to another place; .*cp -rL"):
        open_folder(folder)


def test_a_hard_link_is_refused(folder, tmp_path):
    os.link(folder / "model.onnx.data", tmp_path / "other")
    with pytest.raises(ArtifactError, match="second name elsewhere"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("key", "value"), [("offset", "99999999"), ("length", "99999999"), ("offset", "-64")]
)
def test_data_beyond_the_file_is_refused(key, value, folder):
    refer(folder, key, value)
    with pytest.raises(ArtifactError, match=r"model\.onnx\.data' has [\d,]+ bytes and a tensor"):
        open_folder(folder)


def test_missing_weights_are_named(folder):
    (folder / "model.onnx.data").unlink()
    with pytest.raises(ArtifactError, match=r"has no file 'model\.onnx\.data'; fetch or convert"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("custom_ops_library", "evil.so"),
        ("session.model_external_initializers_file_folder_path", "."),
        ("ep.context_file_path", "x"),
        ("enable_profiling", "trace"),
        ("harmless", "../../x"),
        ("provider_options", [{"QNN": {"backend_path": "evil.so"}}]),
        ("provider_options", [{"NvTensorRtRtx": {"nv_runtime_cache_path": "x"}}]),
        ("provider_options", [{"tensorrt": {"trt_extra_plugin_lib_paths": "evil.so"}}]),
        ("provider_options", [{"OpenVINO": {"cache_dir": "x"}}]),
        ("provider_options", [{"cuda": {"user_compute_stream": "94522879700260684"}}]),
        ("provider_options", [{"WebGPU": {"dawnProcTable": "140737488355328"}}]),
    ],
)
def test_options_that_load_or_write_files_are_refused(name, value, folder):
    options(folder, **{name: value})
    with pytest.raises(ArtifactError, match="may name a file or a library"):
        open_folder(folder)


def test_the_options_that_builders_write_are_taken(folder):
    options(
        folder,
        log_id="onnxruntime-genai",
        intra_op_num_threads=3,
        provider_options=[
            {"cuda": {"enable_cuda_graph": "0", "enable_skip_layer_norm_strict_mode": "1"}},
            {"NvTensorRtRtx": {"enable_cuda_graph": "1"}},
            {"webgpu": {"enableGraphCapture": "0", "validationMode": "basic"}},
        ],
    )
    found = open_folder(folder)
    assert found.session["intra_op_num_threads"] == 3
    assert found.providers == {"cuda", "NvTensorRtRtx", "WebGPU"}


@pytest.mark.parametrize("part", ["vision", "speech", "draft", "encoder"])
def test_models_of_several_parts_are_not_opened(part, folder):
    configure(folder, lambda model: model.update({part: {"filename": "other.onnx"}}))
    with pytest.raises(ArtifactError, match=f"model with '{part}'"):
        open_folder(folder)


def test_pipelines_and_compiled_graphs_are_not_opened(folder):
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    model.graph.node.add(op_type="EPContext", domain="com.microsoft", output=["x"])
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="compiled for one device"):
        open_folder(folder)
    configure(folder, lambda model: model["decoder"].update(pipeline=[{"a": {}}]))
    with pytest.raises(ArtifactError, match="model with 'pipeline'"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "can't be read"),
        ("[]", "holds no JSON object"),
        ("{}", "has no section 'model'"),
        ('{"model": {"decoder": 3}}', "has no section 'decoder'"),
        ('{"model": {"decoder": {"filename": "../x.onnx"}}}', "outside its folder"),
        ('{"model": {"decoder": {"filename": "model.onnx"}}}', "states context_length as None"),
    ],
)
def test_a_damaged_configuration_is_one_line(content, message, folder):
    (folder / "genai_config.json").write_text(content)
    with pytest.raises(ArtifactError, match=message):
        open_folder(folder)
