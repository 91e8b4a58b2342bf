"""Pools of fake models for the replicas of a deployment, which import this module by its name."""

from __future__ import annotations

import tempfile
from pathlib import Path

import fake_session
from pool_fixtures import FAKE_BYTES, FakeDevices, FakeRegistry

from aipc.pool.options import PoolOptions
from aipc.pool.pool import Pool


def make_pool(folder: Path, options) -> Pool:
    """Of a store of its own, somewhere in ``folder``."""
    home = Path(tempfile.mkdtemp(dir=folder))
    registry = FakeRegistry(home, {options.model: FAKE_BYTES})
    limits = PoolOptions(max_running=options.max_running)
    return Pool(registry, limits, loader=fake_session.LOADER, device_list=FakeDevices())
