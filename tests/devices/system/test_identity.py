from __future__ import annotations

import sys

import pytest

from aipc.devices.system.identity import machine_id

NUMBER = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def root(tmp_path):
    if sys.platform == "win32":
        pytest.skip("Windows has its number in the registry")
    (tmp_path / "etc").mkdir()
    return tmp_path


def test_a_machine_is_named_by_its_number_without_telling_it(root):
    file = root / "etc" / "machine-id"
    file.write_text(f"{NUMBER}\n", "utf-8")
    name = machine_id(root)
    assert name == machine_id(root)
    assert len(name) == 8
    assert name not in NUMBER
    file.write_text(NUMBER[::-1], "utf-8")
    assert machine_id(root) != name


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_system_without_a_number_has_no_name(root, content):
    if content is not None:
        (root / "etc" / "machine-id").write_text(content, "utf-8")
    assert machine_id(root) is None
