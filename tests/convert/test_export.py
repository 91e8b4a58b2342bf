from __future__ import annotations

import json
import sys

import pytest
import tiny

from aipc.convert.export import Export
from aipc.convert.onnx.export import BuilderExport
from aipc.convert.openvino.export import OptimumExport
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.errors import ConversionError, UnsupportedModel
from aipc.models.store import Store
from aipc.session.convert import convert

KINDS = {"openvino": OptimumExport, "onnx": BuilderExport}


@pytest.fixture
def unknown_network(tmp_path):
    config = tiny.LLAMA | {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"]}
    return tiny.write_checkpoint(tmp_path / "neox", config, tiny.random_tensors(tiny.LLAMA))


@pytest.mark.parametrize("runtime", KINDS)
def test_without_the_extra_an_unknown_network_says_how_to_get_it(
    runtime, unknown_network, tmp_path, monkeypatch
):
    monkeypatch.setattr(Export, "is_installed", classmethod(lambda _: False))
    store = Store(tmp_path / "home")
    exporter = KINDS[runtime].exporter
    told = rf"'gpt_neox' .* have {exporter}.*`pip install .*optimum-intel>="
    with pytest.raises(UnsupportedModel, match=told):
        convert(str(unknown_network), Recipe("int8"), runtime=runtime, store=store)


@pytest.mark.parametrize(
    ("runtime", "recipe", "fix"),
    [
        ("openvino", Recipe(quantizer="gptq"), "with --quantizer rtn"),
        ("onnx", Recipe(quantizer="gptq"), "with --quantizer rtn"),
        ("onnx", Recipe(ratio=0.5), "with --ratio 1"),
        ("openvino", Recipe(embedding="int4"), "with --embedding int8"),
        ("onnx", Recipe(embedding="int4"), "with --embedding int8"),
    ],
)
def test_what_the_exporter_does_not_have_is_refused(
    runtime, recipe, fix, unknown_network, tmp_path, monkeypatch
):
    monkeypatch.setattr(Export, "is_installed", classmethod(lambda _: True))
    with pytest.raises(UnsupportedModel, match=fix):
        convert(str(unknown_network), recipe, runtime=runtime, store=Store(tmp_path / "home"))


def test_the_recipe_becomes_optimums_flags(tmp_path):
    def command(recipe):
        return " ".join(OptimumExport(tmp_path, recipe, find_target("cpu"), 1).command(tmp_path))

    mixed = command(Recipe("int4", group_size=64, ratio=0.6))
    assert "--weight-format int4 --group-size 64 --ratio 0.6 --sym" in mixed
    assert "--sym" not in command(Recipe("int4", sym=False))
    assert "--weight-format int8 --sym" in command(Recipe("int8"))
    assert "--sym" not in command(Recipe("int8", sym=False))
    assert "--sym" not in command(Recipe("fp16"))
    assert "--group-size" not in command(Recipe("int8", sym=False))
    assert "trust" not in mixed


@pytest.mark.parametrize(
    ("recipe", "target", "flags"),
    [
        (
            Recipe("int4", group_size=64, sym=False),
            "directml",
            "-e dml -p int4 --extra_options is_symmetric=false block_size=64",
        ),
        (Recipe("int8"), "cpu", "-e cpu -p int8 --extra_options is_symmetric=true"),
        (Recipe("fp16"), "cpu", "-e cpu -p fp32"),
        (Recipe("fp16"), "cuda", "-e cuda -p fp16"),
    ],
)
def test_the_recipe_becomes_the_builders_flags(recipe, target, flags, tmp_path):
    export = BuilderExport(tmp_path, recipe, find_target(target, "onnx"), 1)
    command = " ".join(export.command(tmp_path))
    assert command.endswith(flags)
    assert "hf_remote" not in command


def test_float32_activations_become_the_builders_flags(tmp_path):
    def flags(recipe):
        target = find_target("webgpu").computing_in("fp32")
        command = " ".join(BuilderExport(tmp_path, recipe, target, 1).command(tmp_path))
        return command.partition(" -e ")[2]

    ours = "use_webgpu_fp32=1 is_symmetric=true"
    assert flags(Recipe("int8")) == f"webgpu -p int8 --extra_options {ours}"
    assert flags(Recipe("fp16")) == "webgpu -p fp32"


def test_the_builders_result_gets_a_sane_length_and_the_models_config(unknown_network, tmp_path):
    search = {"max_length": 131072, "num_beams": 1}
    (tmp_path / "genai_config.json").write_text(json.dumps({"model": {}, "search": search}))
    (tmp_path / "model.onnx").write_bytes(b"")
    BuilderExport(unknown_network, Recipe("int8"), find_target("cpu", "onnx"), 1).finish(tmp_path)
    kept = json.loads((tmp_path / "genai_config.json").read_text())["search"]
    assert kept == {"max_length": 4096, "num_beams": 1}
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "gpt_neox"


@pytest.mark.parametrize("runtime", KINDS)
@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; sys.exit('ValueError: no such task')", "no such task"),
        ("pass", "could not write|left out"),
    ],
)
def test_an_exporter_that_fails_or_leaves_something_out_is_an_error(
    program, message, runtime, unknown_network, tmp_path, monkeypatch
):
    """The child process is a real one; only what it runs is another program."""
    tiny.write_tokenizer(tmp_path)
    kind = KINDS[runtime]
    monkeypatch.setattr(kind, "command", lambda *_: [sys.executable, "-c", program])
    with pytest.raises(ConversionError, match=message):
        kind(unknown_network, Recipe("int8"), find_target("cpu", runtime), 1).write(tmp_path)


@pytest.mark.skipif(
    not OptimumExport.is_installed(), reason="needs the extra: pip install 'aipc[export]'"
)
def test_the_exporters_artifact_is_one_of_ours(tmp_path):
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=260,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    GPTNeoXForCausalLM(config).save_pretrained(tmp_path / "neox")
    tiny.write_tokenizer(tmp_path / "neox")
    made = convert(
        str(tmp_path / "neox"), Recipe("int8", sym=False), store=Store(tmp_path / "home")
    )
    assert made.facts["exporter"] == OptimumExport.exporter
    assert json.loads((made.path / "aipc.json").read_text())["kind"] == "artifact"


@pytest.mark.skipif(
    not BuilderExport.is_installed(), reason="needs the extra: pip install 'aipc[export]'"
)
def test_the_builders_artifact_is_one_of_ours(tmp_path):
    from transformers import OlmoConfig, OlmoForCausalLM

    config = OlmoConfig(
        vocab_size=260,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        eos_token_id=257,
        pad_token_id=257,
    )
    OlmoForCausalLM(config).save_pretrained(tmp_path / "olmo")
    tiny.write_tokenizer(tmp_path / "olmo")
    store = Store(tmp_path / "home")
    made = convert(str(tmp_path / "olmo"), Recipe("int8"), runtime="onnx", store=store)
    assert made.facts["exporter"] == BuilderExport.exporter
    assert json.loads((made.path / "aipc.json").read_text())["kind"] == "artifact"
    assert not (made.path / "cache").exists()
