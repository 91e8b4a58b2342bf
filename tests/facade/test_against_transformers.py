"""The facade and transformers' own model, in torch, on the same trained weights."""

from __future__ import annotations

import pytest
from openvino_scorer import EXACT

from aipc.facade import OVModelForCausalLM

torch = pytest.importorskip("torch", reason="needs torch: pip install 'aipc[transformers]'")

import transformers  # noqa: E402 - after the skip

TEXTS = ["The capital of France is", "Once upon a time, in a village by the sea,"]
GREEDY = {"do_sample": False, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def tokenizer(phi3_checkpoint):
    return transformers.AutoTokenizer.from_pretrained(phi3_checkpoint, padding_side="left")


@pytest.fixture(scope="module")
def ours(phi3_checkpoint, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPC_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("AIPC_DEVICE", raising=False)
        model = OVModelForCausalLM.from_pretrained(
            phi3_checkpoint, load_in_8bit=False, ov_config=EXACT
        )
    yield model
    model.close()


@pytest.fixture(scope="module")
def theirs(phi3_checkpoint):
    return transformers.AutoModelForCausalLM.from_pretrained(phi3_checkpoint, dtype=torch.float32)


def test_a_padded_batch_is_answered_alike(tokenizer, ours, theirs):
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    wanted = theirs.generate(**batch, **GREEDY)
    assert torch.equal(ours.generate(**batch, **GREEDY), wanted)


def test_the_pipeline_answers_alike(tokenizer, ours, theirs):
    def answer(model):
        pipe = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
        return pipe(TEXTS[0], return_full_text=False, **GREEDY)

    assert answer(ours) == answer(theirs)
