"""Batches over a cluster with a fake model, in this process or, to be killed, in its own.

python ray_runs.py ADDRESS FOLDER, which says when it begins
"""

from __future__ import annotations

import sys
from pathlib import Path

import fake_session

from aipc.batch import BatchOptions, runner
from aipc.batch.ray.options import ClusterOptions
from aipc.cluster import connection
from aipc.errors import DeviceError
from aipc.models.store import Store

MODEL = "smollm2-135m"
"""In the catalogue, so that it has a card; nothing of it is loaded."""


def run(folder: Path, name: str, address: str, *, loader=fake_session.LOADER, more=None, **options):
    """Answer FOLDER/in.jsonl to FOLDER/NAME.jsonl, in order, by the nodes at ``address``.

    ``options`` are a batch's, ``more`` a cluster's and what else `aipc.batch.runner.run` takes.
    """
    given = dict(more or {})
    loading = {
        one: given.pop(one)
        for one in ("device", "heeds_signals", "notify", "show_counts")
        if one in given
    }
    return runner.run(
        folder / "in.jsonl",
        folder / f"{name}.jsonl",
        MODEL,
        BatchOptions(ordered=True, **options),
        store=Store(folder / "home"),
        loader=loader,
        ray=address,
        cluster=ClusterOptions(**given),
        **loading,
    )


def load_nothing(arguments, progress, notify):
    """A loader."""
    raise DeviceError("the fake has no such device", "ask for another")


if __name__ == "__main__":
    where, folder = sys.argv[1:]
    with connection.connected(where):
        sys.stdout.write("begins\n")
        sys.stdout.flush()
        run(Path(folder), "out", where, in_flight=8)
