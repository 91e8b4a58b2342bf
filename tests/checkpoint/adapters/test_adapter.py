"""Adapters that are none: each is refused in one line, before a weight of its base is read."""

from __future__ import annotations

import json
import struct

import lora
import numpy as np
import pytest
import tiny

from aipc.checkpoint.adapters.adapter import open_adapter
from aipc.errors import AipcError, UnsafeModel

BASE = tiny.random_tensors(lora.base_config("plain"))
Q = "base_model.model.model.layers.0.self_attn.q_proj"
A, B = f"{Q}.lora_A.weight", f"{Q}.lora_B.weight"


def config(**changes):
    def change(folder):
        stated = lora.stated("plain") | changes
        (folder / "adapter_config.json").write_text(json.dumps(stated))

    return change


def values(change):
    def write(folder):
        found = lora.tensors("plain", BASE)
        change(found)
        lora.write_adapter(folder, lora.stated("plain"), found)

    return write


def file(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def without(name, *, also=None):
    def remove(folder):
        (folder / name).unlink()
        if also:
            (folder / also).write_bytes(b"\x80\x04")

    return remove


def cut(folder):
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def header(**tensors):
    text = json.dumps(tensors).encode()
    return file("adapter_model.safetensors", struct.pack("<Q", len(text)) + text)


HUGE = {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}
INF = np.full((64, 4), np.inf, np.float32)
CASES = {
    "no config": (without("adapter_config.json"), "holds no adapter: it has no adapter_config"),
    "config is no JSON": (file("adapter_config.json", b"{"), "is damaged: not JSON"),
    "config is a list": (file("adapter_config.json", b"[]"), "it is no JSON object"),
    "no weights": (without("adapter_model.safetensors"), "and no adapter_model.safetensors"),
    "a pickle": (
        without("adapter_model.safetensors", also="adapter_model.bin"),
        "are a pickle .*, which can run code; save it with peft's save_pretrained",
    ),
    "cut short": (cut, "is damaged: .*after the file"),
    "an empty file": (file("adapter_model.safetensors", b""), "only 0 bytes long"),
    "huge shapes": (header(**{A: HUGE}), "0 bytes after the file|no usable shape|ends 8 bytes"),
    "another kind": (
        config(peft_type="LOHA"),
        "of the kind 'LOHA', which can't be used here; aipc takes",
    ),
    "prefix tuning": (config(peft_type="PREFIX_TUNING"), "of the kind 'PREFIX_TUNING'"),
    "no kind": (config(peft_type=None), "of the kind None"),
    "an unknown option": (config(layer_replication=[[0, 2]]), "with 'layer_replication', whose"),
    "trained tokens": (config(trainable_token_indices=[5]), "with 'trainable_token_indices'"),
    "another begin": (config(init_lora_weights="pissa_niter_4"), "which changes its base"),
    "negative alpha": (config(lora_alpha=-8), "'lora_alpha' is -8, no positive number"),
    "alpha is text": (config(lora_alpha="8"), "'lora_alpha' is '8', no positive number"),
    "rank 0": (config(r=0), "'r' has the rank 0"),
    "a huge rank": (config(r=2**31), "'r' has the rank 2147483648"),
    "wrong rank": (config(r=8), r"should be of rank 8, and is \[64, 4\] times \[4, 96\]"),
    "a slow pattern": (config(rank_pattern={"(a+)+b": 2}), r"which is no pattern"),
    "a broken pattern": (config(alpha_pattern={"(": 2}), "its alpha_pattern has '\\('"),
    "no B": (values(lambda found: found.pop(B)), "has no lora_B"),
    "no A": (values(lambda found: found.pop(A)), "has no lora_A"),
    "no numbers": (values(lambda found: found.update({B: INF})), "values that are no numbers"),
    "whole numbers": (
        values(lambda found: found.update({B: np.ones((64, 4), np.int8)})),
        "lora_B.weight' in I8; save it in one of",
    ),
    "magnitudes, and no DoRA": (
        values(lambda found: found.update({f"{Q}.lora_magnitude_vector": np.ones(64, np.float32)})),
        "has no use_dora, and .* has a magnitude vector",
    ),
    "DoRA without magnitudes": (config(use_dora=True), "has use_dora, and .* has no magnitude"),
    "one change twice": (
        values(lambda found: found.update({A[11:]: found[A], B[11:]: found[B]})),
        "it changes 'model.layers.0.self_attn.q_proj.weight' twice",
    ),
    "one factor twice": (
        values(lambda found: found.update({A.replace("weight", "default.weight"): found[A]})),
        "it changes 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.*' twice",
    ),
    "no tensors": (values(dict.clear), "holds no tensors of an adapter"),
    "modules that are no names": (config(modules_to_save=3), "modules_to_save is no list of names"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_in_one_line(name, tmp_path):
    folder = lora.write_case(tmp_path / "own", "plain")
    break_it, line = CASES[name]
    break_it(folder)
    with pytest.raises(AipcError, match=line) as refused:
        open_adapter(folder)
    assert "\n" not in str(refused.value)
    assert refused.value.fix


def test_a_vector_for_a_factor(tmp_path):
    values(lambda found: found.update({B: np.ones(4, np.float32)}))(tmp_path / "own")
    with pytest.raises(AipcError, match=r"lora_B of .* is no matrix"):
        open_adapter(tmp_path / "own")


def test_a_tensor_of_another_method(tmp_path):
    values(lambda found: found.update({f"{Q}.hada_w1_a": np.ones(4, np.float32)}))(tmp_path / "own")
    with pytest.raises(AipcError, match="hada_w1_a', which no LoRA has"):
        open_adapter(tmp_path / "own")


def test_a_pickle_is_unsafe(tmp_path):
    folder = lora.write_case(tmp_path / "own", "plain")
    without("adapter_model.safetensors", also="adapter_model.bin")(folder)
    with pytest.raises(UnsafeModel):
        open_adapter(folder)


def test_its_files_and_its_base(tmp_path):
    folder = lora.write_case(tmp_path / "own", "plain")
    config(base_model_name_or_path="org/base")(folder)
    adapter = open_adapter(folder)
    assert adapter.base == "org/base"
    assert [path.name for path in adapter.paths] == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert ("model.layers.0.self_attn.q_proj.weight", (64, 64)) in adapter.tensors


@pytest.mark.parametrize("base", ["org/base\n\x1b[2J", "x" * 300, 7, None])
def test_a_base_is_safe_to_print(base, tmp_path):
    folder = lora.write_case(tmp_path / "own", "plain")
    config(base_model_name_or_path=base)(folder)
    shown = open_adapter(folder).base
    assert shown.isprintable()
    assert len(shown) < 100
