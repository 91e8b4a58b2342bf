from __future__ import annotations

from aipc.devices.system.surroundings import read_linux_surroundings, read_surroundings

KERNEL = "proc/sys/kernel/osrelease"
PROFILE = "sys/firmware/acpi/platform_profile"
EPP = "sys/devices/system/cpu/cpu0/cpufreq/energy_performance_preference"


def test_a_plain_linux(tree) -> None:
    told = read_linux_surroundings(tree({KERNEL: "6.14.0-37-generic\n", PROFILE: "low-power\n"}))
    assert (told.kernel, told.is_wsl, told.power_profile) == (
        "6.14.0-37-generic",
        False,
        "low-power",
    )


def test_linux_within_windows(tree) -> None:
    told = read_linux_surroundings(tree({KERNEL: "5.15.167.4-microsoft-standard-WSL2\n"}))
    assert told.is_wsl


def test_the_cores_preference_where_the_firmware_has_no_profile(tree) -> None:
    assert read_linux_surroundings(tree({EPP: "power\n"})).power_profile == "power"


def test_nothing_is_told_by_nothing(tmp_path) -> None:
    told = read_linux_surroundings(tmp_path)
    assert (told.kernel, told.power_profile, told.has_vulkan) == (None, None, None)


def test_this_machine_answers() -> None:
    assert read_surroundings().is_wsl in {True, False}
