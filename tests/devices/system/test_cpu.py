from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aipc.devices.system.cpu import current_mhz, read_cpu, read_cpuinfo, throttled

Tree = Callable[[Mapping[str, str]], Path]


def thread(core: int, flags: str) -> str:
    return (
        f"processor\t: 0\nmodel name\t: Intel(R) Core(TM) Ultra 7 155H\n"
        f"physical id\t: 0\ncore id\t\t: {core}\nflags\t\t: fpu sse {flags}\n"
    )


def test_name_and_matrix_instructions_are_read(tree: Tree) -> None:
    text = "\n".join(thread(core, "avx2 avx_vnni") for core in (0, 0, 1, 1, 2))
    name, features = read_cpuinfo(tree({"proc/cpuinfo": text + "\n"}))
    assert name == "Intel(R) Core(TM) Ultra 7 155H"
    assert features == ("avx2", "avx_vnni")


def test_matrix_instructions_come_in_the_order_of_the_table(tree: Tree) -> None:
    root = tree({"proc/cpuinfo": thread(0, "amx_tile amx_bf16 avx512f amx_int8")})
    assert read_cpuinfo(root)[1] == ("avx512f", "amx_int8", "amx_bf16")


def test_arm_has_other_fields(tree: Tree) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\n\n" * 2
    assert read_cpuinfo(tree({"proc/cpuinfo": text})) == ("", ("asimd", "asimddp", "i8mm", "bf16"))


def test_this_machine_has_one() -> None:
    cpu = read_cpu()
    assert cpu.name
    assert cpu.usable_threads >= 1
    assert cpu.physical_cores is None or cpu.physical_cores >= 1
    assert cpu.architecture


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
