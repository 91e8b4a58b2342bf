"""What Windows' registry and counters say of machines that were never at hand.

Their files name the public reports that they were written after.
"""

from __future__ import annotations

import locale
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from windows_machine import INVALID_DATA, RecordedPdh, install_registry, read_registry

from aipc.devices.adapters import Adapter, identified, read_windows_adapters
from aipc.devices.counters import windows
from aipc.devices.counters.counter import Reading
from aipc.devices.counters.windows import BUSY, OWN_MEMORY, SHARED_MEMORY, Query, windows_counters
from aipc.devices.reach import unreached

_MACHINES = Path(__file__).with_name("machines") / "windows"


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Adapter, ...]]:
    def read(name: str) -> tuple[Adapter, ...]:
        install_registry(read_registry(_MACHINES / f"{name}.txt"), monkeypatch)
        return read_windows_adapters()

    return read


@pytest.fixture
def readings(adapters, monkeypatch) -> Callable[[str, RecordedPdh], list[Reading]]:
    """Of all devices of a machine, at one moment."""

    def read(name: str, pdh: RecordedPdh) -> list[Reading]:
        monkeypatch.setattr(windows, "_library", lambda: pdh)
        return [counter.read(1.0) for counter in windows_counters(adapters(name))]

    return read


def _engines(luid: str, *engines: tuple[str, float]) -> list[tuple[str, int, float]]:
    return [
        (f"pid_4711_luid_0x00000000_0x{luid}_phys_0_eng_{at}_engtype_{kind}", 0, value)
        for at, (kind, value) in enumerate(engines)
    ]


def test_lunar_lake(adapters) -> None:
    gpu, npu = adapters("lunar_lake")
    assert (gpu.kind, gpu.maker, gpu.device_id) == ("gpu", "intel", "0x64a0")
    assert gpu.name == "Intel(R) Arc(TM) 140V GPU (16GB)"
    # of the machine's memory 128 MiB are set aside; it has none of its own
    assert (gpu.driver, gpu.memory_bytes) == ("32.0.101.8860", None)
    assert (npu.kind, npu.name, npu.device_id) == ("npu", "Intel(R) AI Boost", "0x643e")


def test_panther_lake(adapters) -> None:
    gpu, npu = adapters("panther_lake")
    assert (gpu.name, gpu.device_id) == ("Intel(R) Arc(TM) B390 GPU", "0xb080")
    assert (npu.device_id, npu.driver) == ("0xb03e", "32.0.100.4778")


def test_ryzen_ai(adapters) -> None:
    gpu, npu = adapters("strix_halo")
    assert (gpu.maker, gpu.name, gpu.memory_bytes) == ("amd", "AMD Radeon(TM) 8060S Graphics", None)
    assert (npu.kind, npu.maker, npu.driver) == ("npu", "amd", "32.0.203.376")


def test_snapdragon_whose_devices_are_on_no_pci_bus(adapters) -> None:
    gpu, npu = adapters("snapdragon_x")
    assert (gpu.kind, gpu.maker, gpu.device_id) == ("gpu", "qualcomm", "0x0c36")
    assert gpu.name == "Snapdragon(R) X Elite - X1E84100 - Qualcomm(R) Adreno(TM) GPU"
    assert (npu.kind, npu.maker, npu.device_id) == ("npu", "qualcomm", "0x0d0a")
    kinds = [one.missing for one in unreached((gpu, npu), (), "Windows")]
    assert len(kinds) == 2
    assert "no runtime" in str(kinds[1]) or "nothing" in str(kinds[1])


@pytest.mark.parametrize(
    ("identity", "device"),
    [
        (r"ACPI\VEN_QCOM&DEV_0C36&SUBSYS_CRD08380&REV_0087", "0x0c36"),
        (r"acpi\qcom0c36", "0x0c36"),
        (r"ACPI\QCOM0C36\2&DABA3FF&0", "0x0c36"),
    ],
)
def test_both_forms_of_an_acpi_identity(identity: str, device: str) -> None:
    found = identified(identity)
    assert found is not None
    assert (found[0].name, found[1]) == ("qualcomm", device)


@pytest.mark.parametrize("identity", [r"ACPI\MSFT0200", r"ACPI\QCOM", r"USB\QCOM0C36", "", "\\"])
def test_what_no_maker_here_made(identity: str) -> None:
    assert identified(identity) is None


def test_two_gpus_beside_windows_own_driver(adapters) -> None:
    own, card = adapters("two_gpus")
    assert (own.maker, own.memory_bytes) == ("intel", None)
    assert (card.maker, card.memory_bytes) == ("nvidia", 0x1FF800000)


def test_a_machine_without_any(adapters, readings) -> None:
    assert adapters("none") == ()
    assert readings("none", RecordedPdh({BUSY: _engines("00012A33", ("3D", 9.0))})) == []


def test_a_registry_that_says_nothing(monkeypatch) -> None:
    install_registry({}, monkeypatch)
    assert read_windows_adapters() == ()
    # keys without values, and values of other types than drivers write
    key = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
    odd = {
        "MatchingDeviceId": r"PCI\VEN_8086&DEV_64A0",
        "HardwareInformation.qwMemorySize": b"\x01",
    }
    install_registry({rf"{key}\0000": {}, rf"{key}\0001": odd}, monkeypatch)
    (gpu,) = read_windows_adapters()
    assert (gpu.name, gpu.driver, gpu.memory_bytes) == ("Intel", None, None)


def test_the_npus_load_is_told_from_the_gpus_own_neural_engine(readings) -> None:
    busy = [
        *_engines("000124A5", ("3D", 12.0), ("Neural", 99.8)),  # Intel's GPUs have one too
        *_engines("00012A33", ("Copy", 1.0)),  # Windows' own renderer, without 3D just now
        *_engines("000128A6", ("Neural", 93.5)),
    ]
    shared = [("luid_0x00000000_0x000128A6_phys_0", 0, 3e9)]
    pdh = RecordedPdh({BUSY: busy, OWN_MEMORY: [], SHARED_MEMORY: shared})
    gpu, npu = readings("lunar_lake", pdh)
    assert (gpu.kind, gpu.busy_share) == ("gpu", pytest.approx(0.998))
    assert (npu.kind, npu.busy_share) == ("npu", pytest.approx(0.935))
    assert (npu.memory_used_bytes, npu.memory_total_bytes) == (3_000_000_000, None)


def test_names_in_the_case_that_powershell_prints(readings) -> None:
    busy = [(name.lower(), status, value) for name, status, value in _engines("124A5", ("3D", 5.0))]
    busy = [(name.replace("0x124a5", "0x000124a5"), *rest) for name, *rest in busy]
    gpu, npu = readings("lunar_lake", RecordedPdh({BUSY: busy}))
    assert gpu.busy_share == pytest.approx(0.05)
    assert npu.busy_share is None


def test_the_number_of_an_earlier_start_is_passed_over(readings) -> None:
    busy = [*_engines("00011524", ("3D", 40.0)), *_engines("0000F00D", ("3D", 90.0))]
    seen = {one.name: one.busy_share for one in readings("two_gpus", RecordedPdh({BUSY: busy}))}
    assert seen == {
        "Intel(R) UHD Graphics 770": None,
        "NVIDIA GeForce RTX 3070 Ti": pytest.approx(0.4),
    }


def test_engines_with_spaces_in_their_names(readings) -> None:
    busy = _engines("0001532A", ("3D", 1.0), ("Compute 0", 70.0), ("Compute 1", 20.0))
    gpu, npu = readings("strix_halo", RecordedPdh({BUSY: busy}))
    assert (gpu.maker, gpu.busy_share) == ("amd", pytest.approx(0.7))
    assert npu.busy_share is None


@pytest.mark.parametrize("wrong", [279_947.0, 1413.0, -13.8, math.nan, math.inf])
def test_a_share_that_cannot_be_is_not_told(readings, wrong) -> None:
    busy = _engines("000124A5", ("3D", 50.0), ("Neural", wrong))
    gpu, _ = readings("lunar_lake", RecordedPdh({BUSY: busy}))
    assert gpu.busy_share is None


def test_a_value_that_windows_calls_invalid_is_passed_over(readings) -> None:
    (name, _, _), good = _engines("000124A5", ("3D", 0.0), ("Compute", 25.0))
    gpu, _ = readings("lunar_lake", RecordedPdh({BUSY: [(name, INVALID_DATA, 1e9), good]}))
    assert gpu.busy_share == pytest.approx(0.25)


def test_processes_that_come_between_size_and_values(readings) -> None:
    first, *late = _engines("000124A5", ("3D", 30.0), ("Copy", 60.0), ("VideoDecode", 10.0))
    gpu, _ = readings("lunar_lake", RecordedPdh({BUSY: [first]}, late=late))
    assert late == []
    assert gpu.busy_share == pytest.approx(0.6)


def test_counters_that_have_nothing_yet(readings) -> None:
    for pdh in (RecordedPdh({}), RecordedPdh({BUSY: []}), RecordedPdh({}, collects=0x800007D5)):
        assert {one.busy_share for one in readings("lunar_lake", pdh)} == {None}


def test_counters_are_named_in_english_and_read_as_numbers(readings, monkeypatch) -> None:
    """So a German or Japanese Windows, with its own names and decimal commas, answers alike."""
    pdh = RecordedPdh({BUSY: _engines("000124A5", ("3D", 37.5))})
    commas = {"decimal_point": ",", "thousands_sep": "."}
    monkeypatch.setattr(locale, "localeconv", lambda: commas)
    gpu, _ = readings("lunar_lake", pdh)
    assert gpu.busy_share == pytest.approx(0.375)
    assert pdh.paths == [BUSY, OWN_MEMORY, SHARED_MEMORY]


def test_without_such_counters_a_query_is_refused(monkeypatch) -> None:
    pdh = RecordedPdh({})
    pdh.PdhAddEnglishCounterW = lambda *_: 0xC0000BB8 - 2**32  # PDH_CSTATUS_NO_OBJECT
    monkeypatch.setattr(windows, "_library", lambda: pdh)
    with pytest.raises(OSError, match="0xC0000BB8"):
        Query((BUSY,))
    assert windows_counters(()) == ()
