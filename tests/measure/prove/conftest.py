"""A tiny real model with a long context, and provers whose GPU is planted."""

from __future__ import annotations

import sys
from pathlib import Path

import proofs
import pytest
import tiny

from aipc.measure.prove.options import ProofOptions
from aipc.measure.prove.processes import ProofCommands
from aipc.measure.prove.prove import Prover
from aipc.models.store import Store

PLANTED = Path(__file__).parents[2] / "support" / "planted_prove.py"


@pytest.fixture(scope="session")
def planted_program():
    return sys.executable, str(PLANTED)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A checkpoint that reads prompts of 2,000 tokens."""
    config = tiny.CONFIGS["phi3"] | {"max_position_embeddings": 4096}
    folder = tmp_path_factory.mktemp("model") / "somebody-s-own"
    return tiny.write_checkpoint(folder, config, tiny.random_tensors(config))


@pytest.fixture(scope="session")
def proof_store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def planted(tiny_model, proof_store, planted_program):
    """The proof of a machine whose GPU has the fault, and what was said meanwhile."""

    def prove(fault, minutes=10.0, **options):
        commands = ProofCommands(
            trial=(*planted_program, "trial", fault), listing=(*planted_program, "listing")
        )
        said = []
        prover = Prover(proof_store, ProofOptions(minutes), notify=said.append, commands=commands)
        return prover.prove(str(tiny_model), runtime="openvino", **options), said

    return prove


@pytest.fixture
def a_proof():
    return proofs.a_proof()
