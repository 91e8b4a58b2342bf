"""Every console block of the README and the pages runs as it stands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from console_blocks import console_blocks, looks_like, run
from phi3_stand_in import keep_stand_in

from aipc.models.store import Store

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in console_blocks(page)]


@pytest.fixture(scope="module")
def home(smollm_gguf, tmp_path_factory):
    """A store with the small model, and the stand-in for Phi-3."""
    store = Store(tmp_path_factory.mktemp("docs-home"))
    keep_stand_in(store, smollm_gguf)
    default = smollm_gguf.parent
    if default.parent.name == "checkpoints":
        (store.home / "checkpoints" / default.name).symlink_to(default)
    return store.home


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_console_block_runs_as_it_stands(block, home, tmp_path):
    if block.not_run:
        pytest.skip(block.not_run)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = dict(os.environ) | {
        "AIPC_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    assert not list(run(block, tmp_path, environment))


@pytest.mark.parametrize(
    ("shown", "printed", "is_alike"),
    [
        ("loaded in 3.1 s", "loaded in 12 s", True),
        ("loaded in 3.1 s", "loaded in none s", False),
        ("a  b", "a b", True),
        ("one … three", "one two three", True),
        ("one … three", "one\nthree", False),
        ("first\n...\nlast", "first\nmore\nmore\nlast", True),
        ("first\n...\nlast", "first\nlast", True),
        ("first\n...\nlast", "first\nmore", False),
        ("2026-11-29", "2027-01-01", True),
        ("first", "first\nsecond", False),
    ],
)
def test_shapes(shown, printed, is_alike):
    assert looks_like(shown, printed) == is_alike


def test_the_first_ten_minutes_are_run_whole():
    start = [block for block in BLOCKS if block.page.stem == "start"]
    assert len(start) >= 8
    assert not [str(block) for block in start if block.not_run]
