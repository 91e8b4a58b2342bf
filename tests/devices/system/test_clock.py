from __future__ import annotations

from aipc.devices.system.clock import current_mhz, throttled


def test_the_mean_clock_of_all_cores(tmp_path):
    for number, kilohertz in ((0, 3_000_000), (1, 1_000_000)):
        folder = tmp_path / f"sys/devices/system/cpu/cpufreq/policy{number}"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{kilohertz}\n", encoding="ascii")
    assert current_mhz(tmp_path) == 2000


def test_throttling_of_all_cores_is_counted(tmp_path):
    for number in (0, 1):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text("3\n", encoding="ascii")
    assert throttled(tmp_path) == 6


def test_a_virtual_machine_tells_nothing(tmp_path):
    assert current_mhz(tmp_path) is None
    assert throttled(tmp_path) is None
