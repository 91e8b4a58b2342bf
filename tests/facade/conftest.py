"""A facade over the fake engine, and the small real model as the checkpoint of a Phi-3."""

from __future__ import annotations

import json

import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.facade import arguments
from aipc.generate import TextPipeline
from aipc.runtimes.base import Capabilities
from aipc.runtimes.fake import FakeEngine
from aipc.session.session import Session

CONTEXT = 96


@pytest.fixture(autouse=True)
def nothing_said_yet():
    """Notices come once in the life of a process."""
    arguments.notice.cache_clear()


@pytest.fixture
def fake_session(tmp_path):
    """Make a session over a `FakeEngine` with a tiny model's texts; its ids below 256 are bytes."""
    config = tiny.CONFIGS["phi3"]
    folder = tiny.write_checkpoint(tmp_path / "fake", config, {})

    def make(generation_config=None, **engine):
        if generation_config is not None:
            (folder / "generation_config.json").write_text(json.dumps(generation_config))
        able = Capabilities("fake", frozenset({"fake"}), engine.get("concurrent", True))
        facts = {"artifact": str(folder), "weights": "int4"}
        return Session(FakeEngine(**engine), able, TextPipeline.read(folder), facts)

    return make


@pytest.fixture(scope="session")
def phi3_checkpoint(smollm_gguf, tmp_path_factory):
    """The small real model under Phi-3's names, with a context that keeps answers short."""
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("phi3")
    with open_checkpoint(smollm_gguf) as checkpoint:
        tensors = {name: checkpoint.rows(name).astype("float16") for name in checkpoint.tensors}
        checkpoint.write_text_files(folder)
        config = {
            **checkpoint.config,
            "architectures": ["Phi3ForCausalLM"],
            "model_type": "phi3",
            "max_position_embeddings": CONTEXT,
            "original_max_position_embeddings": CONTEXT,
        }
    save_file(tiny.fused(tensors), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder
