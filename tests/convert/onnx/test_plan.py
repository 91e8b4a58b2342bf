"""The small real model for ONNX Runtime: what the artifact holds and what GenAI answers with it."""

from __future__ import annotations

import sys
from dataclasses import asdict

import numpy as np
import onnxruntime_genai
import pytest
import reference
import tiny
from onnx_scorer import Scorer
from tokenizers import Tokenizer

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.recipe import Encoding, Recipe
from aipc.convert.targets import find_target
from aipc.errors import ConversionError
from aipc.models.store import Store
from aipc.session.convert import convert

TEXT = "The licence is granted to any person who obtains a copy of this software, free of charge."
QUESTION = "<|im_start|>user\nName the capital of France.<|im_end|>\n<|im_start|>assistant\n"
FILES = {
    "config.json",
    "genai_config.json",
    "generation_config.json",
    "model.onnx",
    "model.onnx.data",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def real(smollm_gguf):
    """The real model's config and float32 tensors."""
    with open_checkpoint(smollm_gguf) as checkpoint:
        return dict(checkpoint.config), {name: checkpoint.rows(name) for name in checkpoint.tensors}


def token_ids(folder, text):
    return Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids


def answer(folder, prompt, count):
    """Token ids of plain GenAI's greedy answer."""
    model = onnxruntime_genai.Model(str(folder))
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(max_length=len(prompt) + count, do_sample=False)
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(prompt)
    ids = []
    while not generator.is_done():
        generator.generate_next_token()
        ids.append(int(generator.get_next_tokens()[0]))
    return ids


def test_fp16_logits_equal_the_numpy_reference(real, smollm_gguf, converted_to_onnx):
    artifact = converted_to_onnx(smollm_gguf, Recipe("fp16"))
    ids = token_ids(artifact, TEXT)
    wanted = reference.logits(*real, np.array(ids))
    got = Scorer(artifact).logits(ids)
    assert np.linalg.norm(got - wanted) / np.linalg.norm(wanted) < 2e-2
    assert (got.argmax(-1) == wanted.argmax(-1)).mean() > 0.95


@pytest.mark.parametrize("weight_format", ["fp16", "int8", "int4"])
def test_plain_genai_answers(weight_format, smollm_gguf, converted_to_onnx):
    artifact = converted_to_onnx(smollm_gguf, Recipe(weight_format))
    ids = answer(artifact, token_ids(artifact, QUESTION), 12)
    text = Tokenizer.from_file(str(artifact / "tokenizer.json")).decode(ids)
    assert "Paris" in text
    assert {file.name for file in artifact.iterdir()} - {"exact.onnx"} <= FILES | {
        "chat_template.jinja"
    }


@pytest.mark.parametrize("name", ["llama-gqa", "phi3-window", "qwen3", "gemma"])
def test_plain_genai_gives_the_references_tokens(name, tiny_checkpoint, converted_to_onnx):
    folder, config, tensors = tiny_checkpoint(name)
    sequence = [72, 101, 108, 108, 111]
    wanted = []
    for _ in range(24):
        wanted.append(int(reference.logits(config, tensors, np.array(sequence))[-1].argmax()))
        sequence.append(wanted[-1])
    ends = next((i for i, token in enumerate(wanted) if token == config["eos_token_id"]), 24)
    got = answer(converted_to_onnx(folder, Recipe("fp16")), sequence[:5], 24)
    assert got[:ends] == wanted[:ends]
    assert ends > 10


def test_phi3_form_gives_the_same_tokens_as_the_llama_form(
    real, smollm_gguf, tmp_path, converted_to_onnx, convert_to_onnx_anew
):
    config, tensors = real
    config = config | {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}
    phi3 = tiny.write_checkpoint(tmp_path / "phi3", config, tiny.fused(tensors))
    llama = converted_to_onnx(smollm_gguf, Recipe("int4"))
    prompt = token_ids(llama, QUESTION)
    joined = convert_to_onnx_anew(phi3, Recipe("int4"))
    assert Scorer(joined).greedy(prompt, 24) == Scorer(llama).greedy(prompt, 24)


@pytest.mark.parametrize("target", ["cpu", "webgpu"])
def test_converting_twice_gives_the_same_bytes(target, tiny_checkpoint, convert_to_onnx_anew):
    folder, _, _ = tiny_checkpoint("phi3-longrope")
    recipe = Recipe("int4", group_size=32, sym=False)
    first, second = (convert_to_onnx_anew(folder, recipe, target) for _ in range(2))
    assert {file.name for file in first.iterdir()} == FILES
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_searched_codes_are_those_of_the_other_writer(tiny_checkpoint, tmp_path):
    """Same quantizers, same blocks: only the layout differs."""
    from aipc.convert.openvino.plan import plan_openvino

    folder, _, _ = tiny_checkpoint("qwen2")
    recipe = Recipe("int4", group_size=32)
    nibbles = {}
    for writer in (plan_onnx, plan_openvino):
        with open_checkpoint(folder) as checkpoint:
            conversion = writer(checkpoint, recipe)
            out = tmp_path / conversion.target.runtime
            out.mkdir()
            conversion.write(out)
        data = next(file for file in out.iterdir() if file.suffix in {".data", ".bin"})
        array = conversion.layout.matrices["block.1.down"].weight
        nibbles[conversion.target.runtime] = np.frombuffer(
            data.read_bytes()[array.offset : array.offset + array.nbytes], np.uint8
        )
    assert (nibbles["onnx"] == nibbles["openvino"] ^ 0x88).all()


def test_where_openvino_has_no_wheels_only_what_needs_it_is_refused(tiny_checkpoint, monkeypatch):
    from aipc.convert.openvino.plan import plan_openvino

    monkeypatch.setattr("aipc.convert.plans.plan.find_spec", lambda name: None)
    folder, _, _ = tiny_checkpoint("qwen2")
    with open_checkpoint(folder) as checkpoint:
        with pytest.raises(ConversionError, match=r"searches with it.*--quantizer rtn"):
            plan_onnx(checkpoint, Recipe("int4", group_size=32))
        with pytest.raises(ConversionError, match="--runtime onnx"):
            plan_openvino(checkpoint, Recipe("fp16"))
        assert plan_onnx(checkpoint, Recipe("fp16")).network
        assert plan_onnx(checkpoint, Recipe("int4", group_size=32, quantizer="rtn")).network


@pytest.mark.parametrize("name", ["qwen2", "gemma"])
def test_folded_networks_give_the_references_logits(
    name, tiny_checkpoint, convert_to_onnx_anew, scales_at_random
):
    folder, config, tensors = tiny_checkpoint(name)
    ids = np.random.default_rng(3).integers(0, 250, 24)
    wanted = reference.logits(config, tensors, ids)

    def error(recipe):
        got = Scorer(convert_to_onnx_anew(folder, recipe)).logits(ids)
        return np.linalg.norm(got - wanted) / np.linalg.norm(wanted)

    assert error(scales_at_random) < 4 * error(Recipe("int8"))


def test_the_plan_knows_the_size_before_and_tells_what_differs(smollm_gguf, converted_to_onnx):
    with open_checkpoint(smollm_gguf) as checkpoint:
        conversion = plan_onnx(checkpoint, Recipe("int4"))
    written = (converted_to_onnx(smollm_gguf, Recipe("int4")) / "model.onnx.data").stat().st_size
    assert written == conversion.layout.nbytes
    assert conversion.notes == (
        "1 of 121 matrices carried over from the checkpoint's own int8 blocks of 32, as they are",
        "120 of 121 matrices rounded a second time: the checkpoint holds Q4_1",
        "group size 64 for matrices 576 wide, which 128 does not divide",
    )
    assert conversion.facts["runtime"] == "onnx"
    assert conversion.facts["encodings"]["embedding"] == asdict(Encoding(8, 16, carried=True))


@pytest.mark.parametrize("recipe", [Recipe("int4", 32), Recipe("int8")], ids=lambda r: r.tag)
def test_what_no_block_divides_is_told_to_stay_in_float(recipe, tmp_path):
    config = tiny.CONFIGS["llama-gqa"] | {"intermediate_size": 90}
    folder = tiny.write_checkpoint(tmp_path / "narrow", config, tiny.random_tensors(config))
    with open_checkpoint(folder) as checkpoint:
        conversion = plan_onnx(checkpoint, recipe)
        floats = plan_onnx(checkpoint, Recipe("fp16"))
    told = ("16 bits for matrices 90 wide, which no block divides",)
    if recipe.weight_format == "int8":
        told += ("16 bits for query, key and value: a small model needs it",)
    assert conversion.notes == told
    assert floats.notes == ()


def test_an_embedding_with_a_format_of_its_own_is_no_departure(tmp_path):
    config = tiny.CONFIGS["llama-gqa"] | {"intermediate_size": 128}
    folder = tiny.write_checkpoint(tmp_path / "own", config, tiny.random_tensors(config))
    with open_checkpoint(folder) as checkpoint:
        conversion = plan_onnx(checkpoint, Recipe("int4", 64, embedding="int4"))
    assert conversion.encodings["embedding"].group == 32
    assert conversion.notes == ()


def test_artifacts_for_different_targets_have_different_names(tiny_checkpoint, tmp_path):
    folder, store = tiny_checkpoint("phi3")[0], Store(tmp_path / "home")
    recipe = Recipe("int8")
    made = [
        convert(str(folder), recipe, target=target, runtime=runtime, store=store)
        for target, runtime in [("cpu", "auto"), ("cpu", "onnx"), ("cuda", "auto")]
    ]
    assert len({one.path for one in made}) == 3
    assert [one.facts["runtime"] for one in made] == ["openvino", "onnx", "onnx"]
    assert "-onnx-cuda-int8-sym" in made[2].path.name


def test_a_missing_package_is_said_in_one_line(tiny_checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr("aipc.convert.onnx.plan.find_spec", lambda _: None)
    with (
        open_checkpoint(tiny_checkpoint("phi3")[0]) as checkpoint,
        pytest.raises(ConversionError, match=r'needs the package onnx; `pip install "onnx>=1.19"`'),
    ):
        plan_onnx(checkpoint, Recipe("int8"))


def test_heads_that_onnx_runtime_does_not_take_are_refused(tiny_checkpoint):
    with (
        open_checkpoint(tiny_checkpoint("llama-head-dim")[0]) as checkpoint,
        pytest.raises(ConversionError, match=r"heads are 24 wide.*--runtime openvino"),
    ):
        plan_onnx(checkpoint, Recipe("int8"), find_target("cuda"))
