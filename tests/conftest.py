"""What every test may ask for: the small real model, fetched once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from linked_store import linked

from aipc.models.names import CATALOGUE
from aipc.models.store import Store


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store for the whole run; AIPC_TEST_HOME keeps it between runs.

    Processes that share the tests share its models; each has sessions and servers of its own.
    """
    kept, is_shared = os.environ.get("AIPC_TEST_HOME"), "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    store = Store(Path(kept).resolve() if kept else (base.parent if is_shared else base) / "home")
    return linked(store, tmp_path_factory.mktemp("own-home")) if is_shared else store


@pytest.fixture(scope="session")
def smollm_gguf(small_store: Store) -> Path:
    """The small real model's GGUF file; AIPC_TEST_GGUF names one that is here already."""
    here = os.environ.get("AIPC_TEST_GGUF")
    return Path(here) if here else small_store.fetch(CATALOGUE.default.source).resolve()
