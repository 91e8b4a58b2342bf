from __future__ import annotations

import pytest

from aipc.devices.counters.energy import BatteryEnergy, GpuEnergy, PackageEnergy, find_energy


def zone(root, number, joules, full=1000.0):
    folder = root / f"sys/class/powercap/intel-rapl:{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(str(int(joules * 1e6)), encoding="ascii")
    (folder / "max_energy_range_uj").write_text(str(int(full * 1e6)), encoding="ascii")
    return folder


def battery(root, watt_hours, status="Discharging"):
    folder = root / "sys/class/power_supply/BAT0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_now").write_text(str(int(watt_hours * 1e6)), encoding="ascii")
    (folder / "energy_full").write_text("50000000", encoding="ascii")
    (folder / "status").write_text(status + "\n", encoding="ascii")
    return folder


class Gpu:
    def __init__(self, joules):
        self._joules = joules

    def energy_j(self):
        return self._joules


def test_packages_are_added_and_a_full_counter_goes_on(tmp_path):
    counter = PackageEnergy([zone(tmp_path, 0, 990), zone(tmp_path, 1, 10)])
    before = counter.joules()
    zone(tmp_path, 0, 15)
    zone(tmp_path, 1, 12)
    assert counter.joules() - before == pytest.approx(25 + 2)


def test_a_counter_that_only_the_administrator_may_read_is_absent(tmp_path):
    (zone(tmp_path, 0, 5) / "energy_uj").unlink()
    assert find_energy("cpu", tmp_path) is None


def test_a_machine_without_counters_has_none(tmp_path):
    assert find_energy("cpu", tmp_path) is None


def test_the_package_goes_before_the_battery(tmp_path):
    battery(tmp_path, 40)
    assert find_energy("npu", tmp_path).name == "battery"
    zone(tmp_path, 0, 5)
    assert find_energy("npu", tmp_path).name == "package"


def test_a_battery_counts_what_left_it(tmp_path):
    counter = BatteryEnergy(battery(tmp_path, 40))
    before = counter.joules()
    battery(tmp_path, 39)
    assert counter.joules() - before == pytest.approx(3600)


def test_a_battery_on_mains_tells_nothing(tmp_path):
    battery(tmp_path, 40, status="Charging")
    assert find_energy("cpu", tmp_path) is None


def test_gpus_are_added_and_one_that_can_not_tell_silences_all():
    assert GpuEnergy([Gpu(3.0), Gpu(4.0)]).joules() == 7.0
    assert GpuEnergy([Gpu(3.0), Gpu(None)]).joules() is None
