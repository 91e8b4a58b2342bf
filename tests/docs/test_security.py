"""What SECURITY.md promises is held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
CITED = sorted(set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", PAGE)))


@pytest.mark.parametrize(("file", "name"), CITED, ids=[name for _, name in CITED])
def test_a_test_that_is_named_exists(file, name):
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_everything_that_is_impossible_names_its_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| can't")]
    assert len(rows) > 15
    assert all("::test_" in row for row in rows)
