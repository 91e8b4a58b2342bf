from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aipc.devices.system.cpu import read_cpu, read_linux_cpu

Tree = Callable[[Mapping[str, str]], Path]


def thread(core: int, flags: str) -> str:
    return (
        f"processor\t: 0\nmodel name\t: Intel(R) Core(TM) Ultra 7 155H\n"
        f"physical id\t: 0\ncore id\t\t: {core}\nflags\t\t: fpu sse {flags}\n"
    )


def test_threads_of_one_core_count_once(tree: Tree) -> None:
    text = "\n".join(thread(core, "avx2 avx_vnni") for core in (0, 0, 1, 1, 2))
    cpu = read_linux_cpu(tree({"proc/cpuinfo": text + "\n"}))
    assert cpu.name == "Intel(R) Core(TM) Ultra 7 155H"
    assert cpu.physical_cores == 3
    assert cpu.features == ("avx2", "avx_vnni")


def test_matrix_instructions_are_told(tree: Tree) -> None:
    cpu = read_linux_cpu(tree({"proc/cpuinfo": thread(0, "amx_tile amx_bf16 avx512f amx_int8")}))
    assert cpu.features == ("avx512f", "amx_int8", "amx_bf16")


def test_arm_has_other_fields(tree: Tree) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\n\n" * 2
    cpu = read_linux_cpu(tree({"proc/cpuinfo": text}))
    assert cpu.features == ("asimd", "asimddp", "i8mm", "bf16")
    assert cpu.physical_cores is None
    assert cpu.name == cpu.architecture


def test_this_machine_has_one() -> None:
    cpu = read_cpu()
    assert cpu.name
    assert cpu.usable_threads >= 1
