"""What a text goes through, by sentence-transformers' files: read, or refused by its name."""

from __future__ import annotations

import json

import pytest

from aipc.artifact.sentence_modules import (
    Dense,
    Normalize,
    Pooling,
    module_files,
    read_modules,
)
from aipc.errors import ArtifactError


def write(folder, *modules):
    """modules.json of (kind, settings), each but the first in a folder of its own."""
    listed = []
    for at, (kind, settings) in enumerate(modules):
        path = f"{at}_{kind}" if at else ""
        listed.append({"idx": at, "path": path, "type": f"sentence_transformers.models.{kind}"})
        if path:
            (folder / path).mkdir(parents=True)
            (folder / path / "config.json").write_text(json.dumps(settings))
        if kind == "Dense":
            (folder / path / "model.safetensors").write_bytes(b"")
    (folder / "modules.json").write_text(json.dumps(listed))
    return folder


TEXT = ("Transformer", {})
MEAN = ("Pooling", {"pooling_mode": "mean"})
SIZES = {"in_features": 4, "out_features": 2}


def test_steps_keep_their_order_and_defaults_are_sentence_transformers(tmp_path):
    dense = SIZES | {"bias": False, "activation_function": "torch.nn.modules.linear.Identity"}
    folder = write(tmp_path, TEXT, MEAN, ("Dense", SIZES), ("Normalize", {}), ("Dense", dense))
    found = read_modules(folder)
    first, second = (folder / path / "model.safetensors" for path in ("2_Dense", "4_Dense"))
    assert found.pooling == Pooling(("mean",))
    assert found.steps == (
        Dense(first, 2, 4, True, "tanh", False),
        Normalize(),
        Dense(second, 2, 4, False, "identity", False),
    )
    assert not found.normalized
    assert {first, second, folder / "1_Pooling" / "config.json"} <= set(module_files(folder))


@pytest.mark.parametrize(
    ("stated", "modes"),
    [
        ({"pooling_mode_lasttoken": True, "pooling_mode_cls_token": True}, ("cls", "lasttoken")),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}, ("max",)),
        ({"pooling_mode": ["max", "cls"]}, ("max", "cls")),
    ],
)
def test_poolings_by_their_switches_and_by_name(stated, modes, tmp_path):
    assert read_modules(write(tmp_path, TEXT, ("Pooling", stated))).pooling.modes == modes


@pytest.mark.parametrize(
    ("modules", "match"),
    [
        ([TEXT, ("WordWeights", {})], "through a module 'WordWeights'"),
        ([TEXT, ("Dense", SIZES), MEAN], "go through Transformer, Dense, Pooling"),
        ([TEXT, MEAN, MEAN], "one Pooling, then Normalize or Dense"),
        ([TEXT, ("Pooling", {"pooling_mode": "min"})], "asks for 'min'; cls, max, mean"),
        ([TEXT, ("Pooling", {"pooling_mode_x": True})], "asks for 'pooling_mode_x'"),
        ([TEXT, MEAN, ("Dense", {"in_features": 4})], "states no in_features or out_features"),
        (
            [TEXT, MEAN, ("Dense", SIZES | {"activation_function": "torch.nn.modules.x.Mish"})],
            "the activation 'torch.nn.modules.x.Mish'",
        ),
        (
            [TEXT, MEAN, ("Dense", SIZES | {"module_input_name": "token_embeddings"})],
            "what becomes of 'token_embeddings'",
        ),
    ],
)
def test_what_is_not_known_is_refused(modules, match, tmp_path):
    with pytest.raises(ArtifactError, match=match):
        read_modules(write(tmp_path, *modules))


def test_a_dense_module_without_weights(tmp_path):
    folder = write(tmp_path, TEXT, MEAN, ("Dense", SIZES))
    (folder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"2_Dense.model\.safetensors' is missing"):
        read_modules(folder)
