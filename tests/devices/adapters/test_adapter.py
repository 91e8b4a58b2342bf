from __future__ import annotations

import pytest

from aipc.devices.adapters.adapter import makers, pci_name

IDS = (
    "# comment\n8085  Before\n\t7d55  Not ours\n8086  Intel Corporation\n"
    "\t64a0  Lunar Lake [Intel Arc Graphics 130V / 140V]\n\t\t1043 0001  A board\n"
    "8087  After\n\t7d55  Not ours either\n"
)


@pytest.mark.parametrize("file", ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"])
def test_the_systems_own_list_names_a_device(tree, file) -> None:
    root = tree({file: IDS})
    assert pci_name("0x8086", "0x64a0", root) == "Intel Lunar Lake [Intel Arc Graphics 130V / 140V]"


def test_a_device_that_the_list_lacks_keeps_its_number(tree) -> None:
    assert pci_name("0x8086", "0x7d55", tree({"usr/share/misc/pci.ids": IDS})) == "Intel 0x7d55"


def test_npus_are_named_by_our_own_list(tmp_path) -> None:
    assert pci_name("0x8086", "0x643e", tmp_path) == "Intel NPU (Lunar Lake)"


def test_amd_has_two_numbers() -> None:
    assert makers()["0x1002"].name == makers()["0x1022"].name == "amd"
