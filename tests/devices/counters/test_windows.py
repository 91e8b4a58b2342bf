from __future__ import annotations

import ctypes
import sys

import pytest

from aipc.devices.adapters import Adapter
from aipc.devices.counters import windows as source
from aipc.devices.counters.windows import (
    BUSY,
    OWN_MEMORY,
    SHARED_MEMORY,
    AdapterCounter,
    Item,
    Query,
    Samples,
    adapters_by_luid,
    busiest_engine,
    luid_of,
    luid_without_graphics,
)

ARC = Adapter("gpu", "intel", "Intel(R) Arc(TM) Graphics", memory_bytes=2**33)
BOOST = Adapter("npu", "intel", "Intel(R) AI Boost")
GPU_LUID, NPU_LUID = 0xC4F1, 0x1_0000_D0A2
ENGINES = {
    "pid_812_luid_0x00000000_0x0000C4F1_phys_0_eng_0_engtype_3D": 30.0,
    "pid_4711_luid_0x00000000_0x0000C4F1_phys_0_eng_0_engtype_3D": 45.5,
    "pid_4711_luid_0x00000000_0x0000C4F1_phys_0_eng_3_engtype_Copy": 60.0,
    "pid_4711_luid_0x00000001_0x0000D0A2_phys_0_eng_0_engtype_Compute": 99.0,
    "_Total": 234.5,
}
SAMPLE = {
    BUSY: ENGINES,
    OWN_MEMORY: {"luid_0x00000000_0x0000C4F1_phys_0": 1e8},
    SHARED_MEMORY: {
        "luid_0x00000000_0x0000C4F1_phys_0": 2e9,
        "luid_0x00000001_0x0000D0A2_phys_0": 3e9,
    },
}


def test_an_instance_names_its_adapter() -> None:
    assert [luid_of(name) for name in ENGINES] == [GPU_LUID] * 3 + [NPU_LUID, None]


def test_the_busiest_engine_counts_with_all_its_processes() -> None:
    assert busiest_engine(ENGINES, GPU_LUID) == pytest.approx(0.755)
    assert busiest_engine(ENGINES, NPU_LUID) == pytest.approx(0.99)
    assert busiest_engine(ENGINES, 1) is None


def test_gpu_and_npu_are_read_from_one_sample() -> None:
    taken = []

    def sample():
        taken.append(1)
        return SAMPLE

    samples = Samples(sample)
    gpu = AdapterCounter(GPU_LUID, ARC, samples).read(1.0)
    npu = AdapterCounter(NPU_LUID, BOOST, samples).read(1.0)
    assert len(taken) == 1
    assert (gpu.kind, gpu.memory_used_bytes) == ("gpu", 2_100_000_000)
    assert (npu.kind, npu.name, npu.memory_used_bytes) == ("npu", BOOST.name, 3_000_000_000)
    AdapterCounter(GPU_LUID, ARC, samples).read(2.0)
    assert len(taken) == 2


def test_an_npu_that_directx_does_not_know_is_found_by_what_it_lacks() -> None:
    counter = AdapterCounter(None, BOOST, Samples(lambda: SAMPLE), others=[GPU_LUID])
    assert counter.read(1.0).busy_share == pytest.approx(0.99)
    assert luid_without_graphics(ENGINES, []) == NPU_LUID
    assert luid_without_graphics(ENGINES, [NPU_LUID]) is None
    idle = {BUSY: {}, OWN_MEMORY: {}, SHARED_MEMORY: {}}
    silent = AdapterCounter(None, BOOST, Samples(lambda: idle)).read(1.0)
    assert (silent.name, silent.busy_share, silent.memory_used_bytes) == (BOOST.name, None, None)


def test_adapters_are_found_by_the_name_that_directx_keeps() -> None:
    keys = [
        {"AdapterLuid": GPU_LUID, "Description": ARC.name},
        {"AdapterLuid": 7, "Description": "Microsoft Basic Render Driver"},
        {"Description": BOOST.name},
    ]
    assert adapters_by_luid(keys, [ARC, BOOST]) == {GPU_LUID: ARC}


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the layout of 64 bits")
def test_the_layout_is_the_one_that_windows_writes() -> None:
    assert (ctypes.sizeof(Item), Item.value.offset) == (24, 16)


@pytest.mark.skipif(sys.platform == "win32", reason="there it works")
def test_elsewhere_there_are_no_such_counters() -> None:
    with pytest.raises(OSError, match="Windows"):
        Query((BUSY,))
    assert source.windows_counters([ARC]) == ()
