"""A server over fake models as a process of its own: ``python fake_server.py HOME MODEL…``.

It writes its address; what it keeps is in HOME.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

SUPPORT = Path(__file__).parent


@contextmanager
def served_fakes(home, *models):
    """(process, address); it is killed at the end, if it lives."""
    path = os.pathsep.join([str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, __file__, str(home), *models],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main(home, *models):
    import fake_session
    from pool_fixtures import FAKE_BYTES, FakeDevices, FakeRegistry

    from aipc.devices.counters.monitor import Monitor
    from aipc.pool.options import PoolOptions
    from aipc.pool.pool import Pool
    from aipc.serve.http.binding import Binding
    from aipc.serve.http.listening import listen
    from aipc.serve.server import Server

    registry = FakeRegistry(Path(home), dict.fromkeys(models, FAKE_BYTES))

    async def run():
        pool = Pool(
            registry,
            PoolOptions(max_running=4),
            loader=fake_session.LOADER,
            device_list=FakeDevices(),
        )
        listeners, binding = listen(Binding(port=0))
        print(binding.url, flush=True)  # noqa: T201 - for its parent
        await Server(pool, Monitor((), Path(home)), binding, lambda _: None).run_on(listeners)

    asyncio.run(run())


if __name__ == "__main__":
    main(*sys.argv[1:])
