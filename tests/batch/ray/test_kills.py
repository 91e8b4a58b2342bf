"""Actors and drivers that are killed at random moments: no id is lost, and none is there twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time

import psutil
import pytest
import ray_runs
from batch_files import line
from ray_cluster import PYTHONPATH, needs_ray

from aipc.errors import ClusterError

pytestmark = [needs_ray, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]


def slow(count):
    """Lines that take half a second each."""
    return "".join(line(f"id-{n}", "count 5 every 0.1") for n in range(count))


def actors():
    found = psutil.Process().children(recursive=True)
    return [one for one in found if one.name().startswith("ray::MapWorker")]


def kill_actors(count, killed, ended, seed):
    moments = random.Random(seed)
    while len(killed) < count and not ended.is_set():
        time.sleep(moments.uniform(0.2, 4))
        for victim in actors()[:1]:
            victim.kill()
            killed.append(victim.pid)


@pytest.fixture
def killing():
    """Kills so many actors while the test runs; call it, and it gives the list of the killed."""
    ended, threads = threading.Event(), []

    def start(count, seed=1):
        killed = []
        threads.append(threading.Thread(target=kill_actors, args=(count, killed, ended, seed)))
        threads[-1].start()
        return killed

    yield start
    ended.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("kills", "count"), [(1, 60), pytest.param(20, 1200, marks=pytest.mark.long)]
)
def test_lines_of_killed_actors_are_asked_again(run, read_answers, killing, kills, count):
    killed = killing(kills)
    told = []
    run(slow(count), in_flight=8, more={"actor_retries": kills, "notify": told.append})
    assert len(killed) == kills
    assert "an actor has died" in " ".join(told)
    assert list(read_answers()) == [f"id-{n}" for n in range(count)]


def test_actors_that_die_too_often_end_the_run(run, killing):
    killing(100)
    with pytest.raises(ClusterError, match=r"died too often.*run it again to go on"):
        run(slow(200), in_flight=8, more={"actor_retries": 0, "max_actors": 1})


@pytest.mark.long
def test_a_killed_driver_is_gone_on_with(cluster, read_answers, tmp_path):
    (tmp_path / "in.jsonl").write_text(slow(600))
    moments = random.Random(2)
    command = [sys.executable, ray_runs.__file__, cluster, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": PYTHONPATH}
    for _ in range(10):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as driver:
            assert driver.stdout.readline() == b"begins\n"
            time.sleep(moments.uniform(0, 10))
            assert driver.poll() is None
            driver.kill()
    subprocess.run(command, check=True, env=env)
    assert list(read_answers()) == [f"id-{n}" for n in range(600)]
