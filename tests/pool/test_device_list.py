from __future__ import annotations

import asyncio

import pytest

from aipc.errors import DeviceError
from aipc.pool import device_list as module
from aipc.pool.device_list import DeviceList


def test_the_cpu_is_found_without_a_runtime_in_this_process():
    found = asyncio.run(DeviceList().read())
    (cpu,) = [one for one in found if one.device == "cpu"]
    assert cpu.name
    assert "openvino" in cpu.runtimes


def test_all_calls_share_one_search(monkeypatch):
    searches = []
    monkeypatch.setattr(module, "_find", lambda runtimes: searches.append(runtimes) or ("here",))

    async def go():
        devices = DeviceList("openvino")
        return [*await asyncio.gather(devices.read(), devices.read()), await devices.read()]

    assert asyncio.run(go()) == [("here",)] * 3
    assert searches == [("openvino",)]


def test_a_search_that_fails_is_an_error_and_tried_again(monkeypatch):
    async def go():
        devices = DeviceList()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_COMMAND", ("/nowhere/python",))
            with pytest.raises(DeviceError, match="can't be listed; leave device out"):
                await devices.read()
        monkeypatch.setattr(module, "_find", lambda _: ("here",))
        return await devices.read()

    assert asyncio.run(go()) == ("here",)
