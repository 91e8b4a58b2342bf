from __future__ import annotations

import asyncio

import pytest

from aipc.errors import DeviceError
from aipc.serve.pool import device_list as module
from aipc.serve.pool.device_list import FoundPlaces


def test_the_cpu_is_found_without_a_runtime_in_this_process():
    found = asyncio.run(FoundPlaces().list())
    (cpu,) = [place for place in found if place.device == "cpu"]
    assert cpu.name
    assert "openvino" in cpu.runtimes


def test_they_are_looked_for_once_by_all_who_want_them(monkeypatch):
    looks = []
    monkeypatch.setattr(module, "_look", lambda runtimes: looks.append(runtimes) or ("here",))

    async def go():
        places = FoundPlaces("openvino")
        return [*await asyncio.gather(places.list(), places.list()), await places.list()]

    assert asyncio.run(go()) == [("here",)] * 3
    assert looks == [("openvino",)]


def test_a_look_that_fails_is_told_and_tried_again(monkeypatch):
    async def go():
        places = FoundPlaces()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_COMMAND", ("/nowhere/python",))
            with pytest.raises(DeviceError, match="can't be listed; leave device out"):
                await places.list()
        monkeypatch.setattr(module, "_look", lambda _: ("here",))
        return await places.list()

    assert asyncio.run(go()) == ("here",)
