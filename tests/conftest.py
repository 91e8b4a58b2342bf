"""What every test may ask for: the small real model, fetched once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from linked_store import linked

from aipc import remedies
from aipc.installation import PIP, this_installation
from aipc.models.catalogue import CATALOGUE
from aipc.models.store import Store

# Run in a shell's background, or by nohup, the tests' programs would not feel these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def activated_environment() -> Iterator[None]:
    """Remedies are told as for pip in an activated environment, however the tests are run."""
    here = replace(this_installation(), tool=PIP, is_users=False, is_managed=False)
    scripts = str(Path(sys.executable).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remedies, "this_installation", lambda: here)
        patch.setenv("PATH", scripts, prepend=os.pathsep)
        yield


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
