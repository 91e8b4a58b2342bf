import json

import numpy as np
import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.text_network import text_config
from aipc.convert.families.network_reader import read_network
from aipc.errors import CheckpointError, UnsupportedModel

LLAMA = tiny.LLAMA
TENSORS = tiny.random_tensors(LLAMA)
VISION = {
    "vision_tower.encoder.layers.0.mlp.fc1.weight": np.ones((2, 2), np.float32),
    "multi_modal_projector.linear_1.weight": np.ones((2, 2), np.float32),
}


def opened(folder, config, tensors):
    return open_checkpoint(tiny.write_checkpoint(folder, config, tensors))


def prefixed(base, head=""):
    """Llama's tensors behind ``base`` in place of "model.", its head behind ``head``."""
    return {
        head + name if name.startswith("lm_head") else base + name.removeprefix("model."): value
        for name, value in TENSORS.items()
    }


def check_equal(checkpoint):
    read_network(checkpoint)
    assert set(checkpoint.tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(checkpoint.rows(name), value)


@pytest.mark.parametrize(
    ("base", "head"),
    [
        ("", ""),
        ("model.", ""),
        ("transformer.model.", "transformer."),
        ("base_model.model.model.", "base_model.model."),
        ("module.model.", "module."),
        ("_orig_mod.model.", "_orig_mod."),
        ("model.model.", "model."),
        ("model.language_model.", ""),
        ("language_model.model.", "language_model."),
    ],
)
def test_the_names_of_any_wrapper(tmp_path, base, head):
    checkpoint = opened(tmp_path, LLAMA, prefixed(base, head))
    check_equal(checkpoint)
    assert checkpoint.notes == ()


@pytest.mark.parametrize(
    ("base", "head"),
    [("language_model.model.", "language_model."), ("model.language_model.", ""), ("model.", "")],
)
def test_a_text_network_beside_one_for_images(tmp_path, base, head):
    config = {"model_type": "llava", "text_config": LLAMA, "vision_config": {}, "eos_token_id": 9}
    checkpoint = opened(tmp_path, config, {**prefixed(base, head), **VISION})
    check_equal(checkpoint)
    assert checkpoint.notes == (
        "tensors for images or sound (2) are left out: aipc runs the text network",
    )
    checkpoint.write_text_files(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (written["model_type"], written["hidden_size"]) == ("llama", LLAMA["hidden_size"])


def test_an_older_configuration_of_one_level(tmp_path):
    vision = {"vision_config": {"hidden_size": 1}, "vision_start_token_id": 7}
    scaling = {"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
    plain = LLAMA | {"model_type": "qwen2"}
    tensors = tiny.random_tensors(plain)
    parts = {"visual.blocks.0.attn.qkv.weight": np.ones((2, 2), np.float32)}
    config = plain | vision | scaling | {"model_type": "qwen2_vl"}
    checkpoint = opened(tmp_path / "vision", config, tensors | parts)
    assert set(checkpoint.tensors) == set(tensors)
    wanted = read_network(opened(tmp_path / "plain", plain, tensors))
    assert read_network(checkpoint).blocks == wanted.blocks
    assert not {"vision_config", "vision_start_token_id"} & set(checkpoint.config)


def test_what_an_inner_configuration_leaves_out_is_its_class_default(tmp_path):
    stated = {"hidden_size": 2560, "num_hidden_layers": 34, "model_type": "gemma3_text"}
    config = {"model_type": "gemma3", "text_config": stated, "pad_token_id": 5}
    inner = text_config(tmp_path, config)
    assert inner | stated == inner
    assert (inner["head_dim"], inner["vocab_size"], inner["pad_token_id"]) == (256, 262208, 5)
    assert (inner["rope_theta"], inner["rope_local_base_freq"]) == (1e6, 1e4)
    assert inner["architectures"] == ["Gemma3ForCausalLM"]


def test_the_new_spelling_of_rotary_settings_is_not_mixed_with_defaults(tmp_path):
    stated = {"rope_parameters": {"rope_type": "default", "rope_theta": 5.0, "mrope_section": [1]}}
    inner = text_config(tmp_path, {"model_type": "qwen3_vl", "text_config": stated})
    assert inner["model_type"] == "qwen3"
    assert inner["rope_parameters"] == {"rope_type": "default", "rope_theta": 5.0}
    assert "rope_theta" not in inner


def test_without_a_word_on_it_a_missing_head_is_the_embedding(tmp_path):
    inner = {key: value for key, value in LLAMA.items() if key != "tie_word_embeddings"}
    tensors = {name: value for name, value in TENSORS.items() if name != "lm_head.weight"}
    checkpoint = opened(tmp_path, {"model_type": "llava", "text_config": inner}, tensors | VISION)
    assert read_network(checkpoint).tied


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"model_type": "paligemma"}, "reads its prompt in both directions"),
        ({"model_type": "llama4"}, "mixture of experts"),
        ({"model_type": "unheard_of", "text_config": {}}, "not known here how its text network"),
    ],
)
def test_a_network_of_parts_whose_text_is_no_plain_network(tmp_path, config, why):
    with pytest.raises(UnsupportedModel, match=rf"{why}.*; take a text-only model"):
        opened(tmp_path, config, TENSORS)


def test_weights_in_mlx_form_are_named(tmp_path):
    config = LLAMA | {"quantization": {"group_size": 64, "bits": 4}}
    with pytest.raises(UnsupportedModel, match=r"quantized for MLX, .*; take the model's 16-bit"):
        opened(tmp_path, config, TENSORS)


def test_two_networks_are_a_question(tmp_path):
    tensors = prefixed("thinker.model.", "thinker.") | prefixed("talker.model.", "talker.")
    with pytest.raises(CheckpointError, match=r"2 networks, .* 'talker.model.', 'thinker.model.';"):
        opened(tmp_path, LLAMA, tensors)


def test_a_tensor_that_is_there_behind_a_wrapper_too_is_a_question(tmp_path):
    stray = {"model.norm.weight": np.zeros(64, np.float32)}
    with pytest.raises(CheckpointError, match=r"'model.norm.weight' twice, once behind"):
        opened(tmp_path, LLAMA, prefixed("wrapped.model.", "wrapped.") | stray)


def test_adapters_that_are_not_merged(tmp_path):
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"
    with pytest.raises(UnsupportedModel, match=r"not merged, .*; merge them with peft"):
        opened(tmp_path, LLAMA, TENSORS | {name: np.ones((4, 4), np.float32)})


def test_names_of_no_wrapper_are_refused_one_by_one(tmp_path):
    extra = {"score.weight": np.ones((2, 64), np.float32)}
    with pytest.raises(UnsupportedModel, match=r"1 tensors .* such as score.weight"):
        read_network(opened(tmp_path, LLAMA, prefixed("wrapped.model.", "wrapped.") | extra))


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.rotary_emb.inv_freq",
        "model.layers.1.self_attn.rotary_emb.cos_cached",
        "model.layers.0.attn.masked_bias",
        "model.embeddings.position_ids",
    ],
)
def test_buffers_of_old_checkpoints_are_left_out(tmp_path, name):
    checkpoint = opened(tmp_path, LLAMA, TENSORS | {name: np.ones(8, np.float32)})
    check_equal(checkpoint)
    assert checkpoint.notes == ()


def test_layers_that_guess_ahead_are_left_out_where_the_configuration_has_them(tmp_path):
    ahead = {"model.layers.2.eh_proj.weight": np.ones((2, 2), np.float32)}
    config = LLAMA | {"num_nextn_predict_layers": 1}
    checkpoint = opened(tmp_path / "stated", config, TENSORS | ahead)
    check_equal(checkpoint)
    assert checkpoint.notes == ("tensors that guess tokens ahead (1) are left out",)
    with pytest.raises(UnsupportedModel, match=r"layers\.2\.eh_proj"):
        read_network(opened(tmp_path / "plain", LLAMA, TENSORS | ahead))


TIED = LLAMA | {"tie_word_embeddings": True}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def test_a_stored_head_that_differs_is_used_whatever_the_configuration_says(tmp_path):
    checkpoint = opened(tmp_path, TIED, TENSORS)
    assert not read_network(checkpoint).tied
    assert checkpoint.config["tie_word_embeddings"] is False
    assert "the stored head is used" in checkpoint.notes[0]


def test_one_different_number_makes_another_head(tmp_path):
    head = TENSORS[EMBEDDING].copy()
    head[-1, -1] += 1
    assert not read_network(opened(tmp_path, TIED, TENSORS | {HEAD: head})).tied


def test_a_stored_head_that_is_the_embedding_stays_tied(tmp_path):
    checkpoint = opened(tmp_path, TIED, TENSORS | {HEAD: TENSORS[EMBEDDING]})
    assert read_network(checkpoint).tied
    assert checkpoint.notes == ()


def test_of_a_tied_pair_the_head_alone_may_be_stored(tmp_path):
    tensors = {name: value for name, value in TENSORS.items() if name != EMBEDDING}
    checkpoint = opened(tmp_path, TIED, tensors)
    assert read_network(checkpoint).tied
    np.testing.assert_array_equal(checkpoint.rows(EMBEDDING), TENSORS[HEAD])


def test_a_family_that_ties_by_itself_takes_a_head_of_its_own(tmp_path):
    config = tiny.CONFIGS["gemma"]
    stated = {key: value for key, value in config.items() if key != "tie_word_embeddings"}
    tensors = tiny.random_tensors(config)
    assert read_network(opened(tmp_path / "tied", stated, tensors)).tied
    other = {HEAD: tensors[EMBEDDING][::-1].copy()}
    assert not read_network(opened(tmp_path / "own", stated, tensors | other)).tied


def test_no_head_where_one_is_stated(tmp_path):
    tensors = {name: value for name, value in TENSORS.items() if name != HEAD}
    with pytest.raises(CheckpointError, match=r'lm_head.weight is missing; set "tie_word_embedd'):
        read_network(opened(tmp_path, LLAMA, tensors))
