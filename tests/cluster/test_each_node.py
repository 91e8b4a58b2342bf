from __future__ import annotations

import os
import time

import pytest
from ray_cluster import needs_ray, two_raylets

from aipc.cluster import connection
from aipc.cluster.each_node import on_each_node
from aipc.cluster.nodes import read_nodes
from aipc.errors import AipcError, EngineError

pytestmark = needs_ray


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with two_raylets(home) as address, connection.connected(address):
        yield read_nodes()


def outcomes(nodes, work):
    return {node.node_id: outcome for node, outcome in on_each_node(nodes, work)}


def test_each_node_works_once_and_nodes_of_one_machine_in_turn(nodes):
    def work():
        import ray

        began = time.time()
        time.sleep(0.5)
        node = ray.get_runtime_context().get_node_id()
        return node, began, time.time(), os.environ.get("OMP_NUM_THREADS")

    found = outcomes(nodes, work)
    assert len(found) == 2
    assert all(outcome[0] == node for node, outcome in found.items())
    first, second = sorted(found.values(), key=lambda outcome: outcome[1])
    assert second[1] >= first[2]
    assert {first[3], second[3]} == {None}


def test_an_error_of_one_node_is_its_own(nodes):
    def work():
        import ray

        node = ray.get_runtime_context().get_node_id()
        if node == failing:
            raise EngineError("the driver is missing", "install it")
        if node == dying:
            os._exit(3)
        return "measured"

    first, second = (node.node_id for node in nodes)
    failing, dying = first, None
    found = outcomes(nodes, work)
    assert found[second] == "measured"
    assert str(found[first]) == "the driver is missing; install it"
    failing, dying = None, second
    found = outcomes(nodes, work)
    assert found[first] == "measured"
    assert isinstance(found[second], AipcError)
    assert str(found[second]).startswith("its work was ended")
    assert "\n" not in str(found[second])
