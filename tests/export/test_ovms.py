"""From a model to what OpenVINO Model Server is given, with tiny real models."""

from __future__ import annotations

import functools
import json
import shutil

import pytest
import tiny
import tiny_embedder
import yaml
from mediapipe_graphs import options_of, read_graph
from tiny_encoder import write_dense

import aipc
from aipc.artifact import manifest
from aipc.choose.measured import Records, SetupFigures, Trial, Tuned, Work, fingerprint
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.errors import ArtifactError, UsageError
from aipc.export import ovms
from aipc.export.options import ServingOptions
from aipc.export.ovms import export_ovms
from aipc.models import names
from aipc.models.store import Store
from aipc.session.convert import convert

CPU = Device("CPU", "cpu", "A CPU", precisions=("fp32", "bf16"), runtimes=("openvino", "onnx"))
LOADED = (
    *(f"openvino_{part}.{end}" for part in ("model", "tokenizer") for end in ("xml", "bin")),
    "openvino_detokenizer.xml",
    "tokenizer_config.json",
    "generation_config.json",
)
"""Of the files that docs.openvino.ai lists in "Efficient LLM Serving"."""


@pytest.fixture(autouse=True)
def one_cpu(monkeypatch):
    monkeypatch.setattr(ovms, "remembered_devices", lambda _: (CPU,))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """For all tests, so that each conversion is made once."""
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    @functools.cache
    def write(kind="phi3"):
        config = tiny.CONFIGS[kind]
        folder = tmp_path_factory.mktemp(kind) / "Tiny.Phi3"
        return str(tiny.write_checkpoint(folder, config, tiny.random_tensors(config)))

    return write


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def vendors(checkpoint, store, tmp_path):
    """An artifact's folder as a vendor leaves it, without a manifest."""
    made = convert(checkpoint(), store=store, notify=str)
    folder = shutil.copytree(made.path, tmp_path / "vendors")
    (folder / manifest.FILE).unlink()
    return folder


@pytest.fixture
def export(root, store):
    def run(model, recipe=None, **options):
        return export_ovms(model, root, recipe, store=store, notify=str, **options)

    return run


def options_in(done):
    options = options_of(read_graph((done.version.path / "graph.pbtxt").read_text("utf-8")))
    return {**options, "plugin_config": json.loads(options.get("plugin_config", "{}"))}


def test_a_checkpoint_becomes_a_version_that_is_served(export, checkpoint, root):
    done = export(checkpoint())
    assert done.version.path == root / "Tiny.Phi3" / "1"
    assert all((done.version.path / name).is_file() for name in LOADED)
    config = json.loads(done.config.read_text())
    assert config["model_config_list"] == [
        {"config": {"name": "Tiny.Phi3", "base_path": "Tiny.Phi3/1"}}
    ]
    assert options_in(done) == {
        "models_path": "./",
        "device": "CPU",
        "plugin_config": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"},  # as the rules choose here
        "cache_size": 0,
        "max_num_seqs": 256,
        "enable_prefix_caching": True,
        "max_num_batched_tokens": 512,
    }
    assert any("DYNAMIC_QUANTIZATION_GROUP_SIZE" in reason for reason in done.why)
    _, service = yaml.safe_load_all(done.kserve.read_text())
    uri = service["spec"]["predictor"]["model"]["storageUri"]
    assert uri == "pvc://models/Tiny.Phi3/1"


def test_again_it_is_as_it_was_and_with_another_option_the_next(export, checkpoint):
    model = checkpoint()
    assert not export(model).version.reused
    assert export(model).version.reused
    done = export(model, options=ServingOptions(cache_size=2, max_num_seqs=8), storage="s3://b/m/")
    assert done.version.number == 2
    assert (options_in(done)["cache_size"], options_in(done)["max_num_seqs"]) == (2, 8)
    assert "base_path" in done.config.read_text()
    assert "Tiny.Phi3/2" in done.config.read_text()
    assert "s3://b/m/Tiny.Phi3/2" in done.kserve.read_text()


def test_what_is_exported_opens_here_too(export, checkpoint, store):
    done = export(checkpoint(), Recipe("int8"))
    with aipc.load(str(done.version.path), store=store) as session:
        assert session.generate("a", max_new_tokens=2).usage.completion_tokens


def test_an_artifact_is_taken_as_it_is(export, checkpoint, store, tmp_path):
    made = convert(checkpoint(), Recipe("int8"), output=tmp_path / "made", store=store, notify=str)
    done = export(str(made.path), name="phi")
    assert done.version.path.parent.name == "phi"
    assert manifest.read(done.version.path).facts["source"] == made.facts["source"]
    with pytest.raises(UsageError, match="converted already"):
        export(str(made.path), Recipe("int4"))


def test_one_for_another_runtime_is_refused(export, checkpoint, store, tmp_path, root):
    made = convert(checkpoint(), runtime="onnx", output=tmp_path / "made", store=store, notify=str)
    with pytest.raises(ArtifactError, match=r"made for onnx.*--runtime openvino"):
        export(str(made.path))
    assert not root.exists()


def test_where_rope_switches_prompts_are_read_whole(export, checkpoint):
    options = options_in(export(checkpoint("phi3-longrope")))
    assert options["dynamic_split_fuse"] is False
    assert options["enable_prefix_caching"] is False
    assert options["max_num_batched_tokens"] == 128  # its context


def test_a_network_that_can_not_be_paged_is_refused(export, vendors, root):
    xml = vendors / "openvino_model.xml"  # as Gemma 2's, whose attention is several operators
    xml.write_text(xml.read_text("utf-8").replace("ScaledDotProductAttention", "Attention"))
    with pytest.raises(ArtifactError, match="can't be paged"):
        export(str(vendors))
    assert not root.exists()


def test_what_was_tuned_here_decides(root, checkpoint, tmp_path):
    model, store = checkpoint(), Store(tmp_path / "home")

    def export(*arguments, **options):
        return export_ovms(*arguments, root, **options, store=store, notify=str)

    properties = {"NUM_STREAMS": "1", "prompt_lookup": "YES", "num_assistant_tokens": "3"}
    keep(store, model, Setup("openvino", "CPU", Recipe("int8", sym=False), properties))
    done = export(model)
    assert options_in(done)["plugin_config"] == {"NUM_STREAMS": "1", "prompt_lookup": True}
    assert manifest.read(done.version.path).facts["recipe"]["sym"] is False
    assert "measured here" in done.why[0]
    assert "NUM_STREAMS" not in options_in(export(model, target="gpu"))["plugin_config"]
    other = export(model, recipe=Recipe("int8"))
    assert "NUM_STREAMS" not in options_in(other)["plugin_config"]


def test_the_npu_has_its_own_options(export, checkpoint):
    model = checkpoint()
    done = export(model, target="npu", options=ServingOptions(max_prompt_len=2048))
    assert options_in(done) == {
        "models_path": "./",
        "device": "NPU",
        "plugin_config": {"DEVICE_PROPERTIES": {"NPU": {"MAX_PROMPT_LEN": 2048}}},
    }
    assert done.image.endswith("-gpu")
    for target, options in (
        ("npu", ServingOptions(cache_size=2)),
        ("cpu", ServingOptions(max_prompt_len=2048)),
    ):
        with pytest.raises(UsageError, match="means nothing on the"):
            export(model, target=target, options=options)
    with pytest.raises(UsageError, match="the npu can't run this recipe"):
        export(model, Recipe("int8", sym=False), target="npu")


def test_without_a_tokenizer_for_it_a_model_is_refused(export, vendors):
    assert export(str(vendors)).version.path.is_dir()
    (vendors / "openvino_detokenizer.xml").unlink()
    with pytest.raises(ArtifactError, match=r"openvino_detokenizer\.xml"):
        export(str(vendors))


@pytest.mark.parametrize(("mode", "pooling"), [("cls_token", 0), ("lasttoken", 1), (None, 2)])
def test_a_model_that_makes_embeddings(export, tmp_path, mode, pooling):
    done = export(str(tiny_embedder.write_embedder(tmp_path / "bert", mode)))
    graph = read_graph((done.version.path / "graph.pbtxt").read_text())
    assert graph.node[0].calculator == "EmbeddingsCalculatorOV"
    options = options_of(graph)
    assert options["pooling"] == pooling
    assert options["normalize_embeddings"] is True
    assert bool(done.why) == (mode is None)


def test_an_embedder_that_needs_words_before_each_text_is_refused(export, tmp_path):
    folder = tiny_embedder.write_embedder(tmp_path / "bert", "cls_token")
    prompts = {"default_prompt_name": "query", "prompts": {"query": "query: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    with pytest.raises(ArtifactError, match="'query: '"):
        export(str(folder))
    with pytest.raises(ArtifactError, match="NPU"):
        export(str(folder), target="npu")


@pytest.mark.parametrize(("mode", "dense"), [("max_tokens", False), ("mean_tokens", True)])
def test_modules_that_the_server_does_not_know_are_refused(export, tmp_path, mode, dense):
    modules = ["Transformer", "Pooling", *["Dense"] * dense]
    folder = tiny_embedder.write_embedder(tmp_path / "bert", mode, modules=modules)
    if dense:
        write_dense(folder / "2_Dense", tiny_embedder.WIDTH)
    with pytest.raises(ArtifactError, match="which the server's calculator does not know"):
        export(str(folder))


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a b"])
def test_a_name_that_is_no_folders(export, checkpoint, name, root):
    with pytest.raises(UsageError, match="--name"):
        export(checkpoint(), name=name)
    assert not root.exists()


def keep(store, model, setup):
    choice = Trial(setup, SetupFigures(1.0, 0.1, 1))
    Records(store.tuned).save(
        Tuned(
            model=names.resolve(model).name,
            label=model,
            goal="latency",
            work=Work(),
            when="2026-11-22T10:00:00+00:00",
            machine=fingerprint((CPU,)),
            choice=choice,
            gain=1.7,
            trials=(choice,),
        )
    )
