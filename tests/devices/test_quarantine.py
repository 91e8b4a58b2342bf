from __future__ import annotations

import pytest

from aipc.devices.quarantine import Quarantine, list_quarantined
from aipc.errors import DeviceError

ABOUT = {"model": "abc", "device": "NPU", "driver": "1"}


def test_a_device_is_kept_from_a_model_until_its_driver_is_another(tmp_path):
    Quarantine(tmp_path, ABOUT).check()
    Quarantine(tmp_path, ABOUT).put("phi-3-mini", "NPU", "5.0 nats short")
    with pytest.raises(DeviceError, match=r"NPU computes phi-3-mini wrongly: 5\.0 nats short"):
        Quarantine(tmp_path, ABOUT).check()
    Quarantine(tmp_path, {**ABOUT, "driver": "2"}).check()
    Quarantine(tmp_path, {**ABOUT, "model": "another"}).check()


def test_all_are_listed_and_what_is_damaged_is_left_out(tmp_path):
    assert list_quarantined(tmp_path / "none") == ()
    Quarantine(tmp_path, ABOUT).put("phi-3-mini", "NPU", "5.0 nats short")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "odd.json").write_text('{"value": 3}')
    (one,) = list_quarantined(tmp_path)
    assert (one.model, one.device) == ("phi-3-mini", "NPU")
