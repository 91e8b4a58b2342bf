from __future__ import annotations

import pytest
from ray_cluster import two_raylets


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of two raylets, to which this process is connected for the tests of a file."""
    from aipc.cluster import connection

    home = tmp_path_factory.mktemp("nodes")
    with two_raylets(home) as address, connection.connected(address):
        yield address


@pytest.fixture
def run(cluster, tmp_path):
    """Call it with lines, and as `ray_runs.run`; it answers ``out`` of the test's folder."""

    def run(text: str, name: str = "out", **how):
        import ray_runs

        (tmp_path / "in.jsonl").write_text(text)
        return ray_runs.run(tmp_path, name, cluster, **how)

    return run


@pytest.fixture
def read_answers(tmp_path):
    """Call it with an output's name: its answers by their ids, none of them twice."""
    from aipc.batch.answers import LineAnswer

    def read(name: str = "out"):
        data = (tmp_path / f"{name}.jsonl").read_bytes()
        answers = [LineAnswer.from_line(line) for line in data.splitlines(keepends=True)]
        found = {one.custom_id: one for one in answers}
        assert len(found) == len(answers)
        return found

    return read
