"""The small real model, converted: what the artifact holds and what it computes."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import reference
import tiny
from openvino_scorer import Scorer

from aipc.checkpoint import open_checkpoint
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.quality import find_figure
from aipc.convert.recipe import Encoding, Recipe
from aipc.convert.targets import TARGETS
from aipc.errors import UsageError

TEXT = "The licence is granted to any person who obtains a copy of this software, free of charge."
QUESTION = "<|im_start|>user\nName three colors.<|im_end|>\n<|im_start|>assistant\n"
RECIPES = (  # of the GGUF file's own codes a folder of floats knows nothing
    Recipe("int4", quantizer="rtn", requantize=True),
    Recipe("int8", quantizer="rtn", requantize=True),
    Recipe("fp16"),
)


@pytest.fixture(scope="module")
def real(smollm_gguf):
    """The real model's config and float32 tensors."""
    with open_checkpoint(smollm_gguf) as checkpoint:
        return dict(checkpoint.config), {name: checkpoint.rows(name) for name in checkpoint.tensors}


@pytest.fixture(scope="module")
def phi3_form(real, smollm_gguf, tmp_path_factory):
    """The same trained weights as a Phi-3 checkpoint folder: q, k, v and gate, up joined."""
    from safetensors.numpy import save_file

    config, tensors = real
    folder = tmp_path_factory.mktemp("phi3-form")
    with open_checkpoint(smollm_gguf) as checkpoint:
        checkpoint.write_text_files(folder)
    config = config | {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tiny.fused(tensors), folder / "model.safetensors")
    return folder


def token_ids(folder, text):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids


def test_fp16_logits_equal_the_numpy_reference(real, smollm_gguf, converted):
    artifact = converted(smollm_gguf, Recipe("fp16"))
    ids = token_ids(artifact, TEXT)
    wanted = reference.logits(*real, np.array(ids))
    got = Scorer(artifact).logits(ids)
    assert np.linalg.norm(got - wanted) / np.linalg.norm(wanted) < 2e-2
    assert (got.argmax(-1) == wanted.argmax(-1)).mean() > 0.95


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.weight_format)
def test_phi3_form_gives_the_same_tokens_as_the_llama_form(
    recipe, smollm_gguf, phi3_form, converted
):
    llama, phi3 = converted(smollm_gguf, recipe), converted(phi3_form, recipe)
    prompt = token_ids(
        llama, "<|im_start|>user\nName three colors.<|im_end|>\n<|im_start|>assistant\n"
    )
    assert Scorer(phi3).greedy(prompt, 32) == Scorer(llama).greedy(prompt, 32)


def test_the_artifact_opens_in_plain_openvino_genai(smollm_gguf, converted):
    import openvino_genai

    exact = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}  # "The" and "L" are near-ties to the model
    artifact = converted(smollm_gguf, Recipe("int8"))
    pipeline = openvino_genai.LLMPipeline(artifact, "CPU", **exact)
    assert "Paris" in str(pipeline.generate("Name the capital of France.", max_new_tokens=12))


def test_converting_twice_gives_the_same_bytes(tiny_checkpoint, convert_anew):
    folder, _, _ = tiny_checkpoint("phi3")
    recipe = Recipe("int4", group_size=32, sym=False)
    first, second = convert_anew(folder, recipe), convert_anew(folder, recipe)
    for name in ("openvino_model.bin", "openvino_model.xml"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_plan_knows_the_size_before_and_tells_what_differs(smollm_gguf, converted):
    with open_checkpoint(smollm_gguf) as checkpoint:
        conversion = plan_openvino(checkpoint, Recipe("int4"))
    written = (converted(smollm_gguf, Recipe("int4")) / "openvino_model.bin").stat().st_size
    assert 0 <= written - conversion.layout.nbytes < 100_000
    assert conversion.notes[2:] == (
        "group size 64 for matrices 576 wide, which 128 does not divide",
    )
    assert conversion.facts["encodings"]["block.0.down"] == asdict(Encoding(4, 128))


def test_a_figure_is_given_only_for_groups_that_the_matrices_have(smollm_gguf):
    """What an NPU runs divides no width of 576, and whole rows lose twice what the recipe does."""
    with open_checkpoint(smollm_gguf) as checkpoint:
        plans = {
            name: plan_openvino(checkpoint, Recipe("int4"), TARGETS[name])
            for name in ("npu", "cpu")
        }
        rows = plan_openvino(checkpoint, Recipe("int4", -1), TARGETS["npu"])
    assert any(one.startswith("a scale a row for matrices 576 wide") for one in plans["npu"].notes)
    assert plans["npu"].facts["quality"] is None
    assert plans["cpu"].facts["quality"]["kl"] == find_figure(Recipe("int4")).kl
    assert rows.facts["quality"]["kl"] == find_figure(Recipe("int4", -1)).kl


def test_an_embedding_that_is_the_head_too_has_no_format_of_its_own(smollm_gguf):
    with (
        open_checkpoint(smollm_gguf) as checkpoint,
        pytest.raises(
            UsageError, match="its embedding is its head too; leave it out, or give --all"
        ),
    ):
        plan_openvino(checkpoint, Recipe(embedding="int4"))
