from pathlib import Path

import pytest

from aipc.checkpoint.gguf.names import ARCHITECTURES, find_architecture, translate
from aipc.errors import UnsupportedModel

FILE = Path("m.gguf")


@pytest.mark.parametrize(
    ("architecture", "stored", "name"),
    [
        ("llama", "token_embd.weight", "model.embed_tokens.weight"),
        ("llama", "output_norm.weight", "model.norm.weight"),
        ("llama", "output.weight", "lm_head.weight"),
        ("llama", "blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"),
        ("llama", "blk.10.ffn_up.weight", "model.layers.10.mlp.up_proj.weight"),
        ("llama", "blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight"),
        ("qwen2", "blk.2.attn_k.bias", "model.layers.2.self_attn.k_proj.bias"),
        ("qwen3", "blk.2.attn_k_norm.weight", "model.layers.2.self_attn.k_norm.weight"),
        ("gemma", "blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight"),
        ("gemma2", "blk.1.ffn_norm.weight", "model.layers.1.pre_feedforward_layernorm.weight"),
        (
            "gemma3",
            "blk.1.post_ffw_norm.weight",
            "model.layers.1.post_feedforward_layernorm.weight",
        ),
        (
            "olmo2",
            "blk.1.post_attention_norm.weight",
            "model.layers.1.post_attention_layernorm.weight",
        ),
        ("olmo2", "blk.1.attn_q_norm.weight", "model.layers.1.self_attn.q_norm.weight"),
        ("phi3", "blk.3.attn_qkv.weight", "model.layers.3.self_attn.qkv_proj.weight"),
        ("phi3", "blk.3.ffn_up.weight", "model.layers.3.mlp.gate_up_proj.weight"),
        ("phi3", "blk.3.attn_output.weight", "model.layers.3.self_attn.o_proj.weight"),
    ],
)
def test_names_are_translated(architecture, stored, name):
    assert translate(FILE, ARCHITECTURES[architecture], stored) == name


@pytest.mark.parametrize(
    "stored",
    [
        "blk.0.ffn_gate_shexp.weight",
        "blk.0.attn_qkv.weight",
        "blk.x.attn_q.weight",
        "blk.00.attn_q.weight",
        "blk.0.output.weight",
        "attn_q.weight",
        "token_embd",
        "",
    ],
)
def test_a_tensor_that_the_architecture_does_not_have_is_named(stored):
    with pytest.raises(UnsupportedModel, match=f"a tensor '{stored}' that LlamaForCausalLM"):
        translate(FILE, ARCHITECTURES["llama"], stored)


def test_an_unknown_architecture_is_named_with_the_known_ones():
    with pytest.raises(UnsupportedModel, match=r"architecture 'bert'; .*llama, mistral3, phi3"):
        find_architecture(FILE, "bert")


def test_the_tables_agree_with_the_gguf_package():
    """Each name of ours is one that gguf maps the Hugging Face name to."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    theirs_by_name = {name: arch for arch, name in MODEL_ARCH_NAMES.items()}
    for name, architecture in ARCHITECTURES.items():
        theirs = get_tensor_name_map(theirs_by_name[name], 3)
        for module in architecture.block:
            stored = f"blk.2.{module}.weight"
            ours = translate(FILE, architecture, stored)
            suffixed = ours if ours.endswith(".weight") else f"{ours}.weight"
            assert theirs.get_name(suffixed, try_suffixes=(".weight",)) == stored
