from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ray_cluster import needs_ray, two_raylets

from aipc.errors import EngineError
from aipc.measure.bench import result
from aipc.measure.bench.fleet import impersonal, measure_fleet, new_file
from aipc.measure.bench.options import BenchOptions
from aipc.measure.bench.plan import BenchPlan


@pytest.fixture(scope="module")
def raylets(small_store):
    """The address of two."""
    with two_raylets(small_store.home) as address:
        yield address


@needs_ray
def test_every_node_is_measured_into_a_file_of_its_own(raylets, example_file, tmp_path):
    told = []

    def work(plan):
        import ray

        table = json.loads(text)
        table["machine"]["id"] = ray.get_runtime_context().get_node_id()[:8]
        return json.dumps({**table, "model": plan.model})

    text = example_file.read_text("utf-8")
    found = measure_fleet(BenchPlan("small"), raylets, tmp_path / "new", told.append, work)
    assert found.failures == ()
    read = [result.read(file) for file in found.files]
    assert len({one.machine.id for one in read}) == 2
    assert {one.model for one in read} == {"small"}
    assert told[0].startswith("measuring on 2 nodes: ")
    assert len(told) == 3


@needs_ray
def test_a_node_without_a_usable_result_is_told_and_costs_the_others_nothing(
    raylets, example_file, tmp_path
):
    def work(_):
        import ray

        first = ray.nodes()[0]["NodeID"] == ray.get_runtime_context().get_node_id()
        if kind == "error" and first:
            raise EngineError("the driver is missing", "install it")
        return '{"schema": 99}' if first else text

    text, told = example_file.read_text("utf-8"), []
    for kind, error in (("error", "the driver is missing"), ("newer", "its schema is 99")):
        found = measure_fleet(BenchPlan(), raylets, tmp_path / kind, told.append, work)
        assert len(found.files) == 1
        [(_, failure)] = found.failures
        assert error in str(failure)
        assert any(error in line for line in told)


@needs_ray
@pytest.mark.long
def test_both_raylets_measure_the_small_model(raylets, tmp_path):
    plan = BenchPlan("smollm2-135m", prompts=(16,), outputs=(8,), options=BenchOptions(repeats=2))
    found = measure_fleet(plan, raylets, tmp_path, [].append)
    assert found.failures == ()
    assert len(found.files) == 2
    for file in found.files:
        [participant] = result.read(file).participants
        assert len(participant.samples) == 3


def test_what_leaves_a_node_names_no_user_s_folder(monkeypatch):
    for home in ("/home/jane", "C:\\Users\\Jane"):
        monkeypatch.setattr(Path, "home", lambda home=home: Path(home))
        told = {"model": f"{home}/models/phi", "failure": f"'{home}' is full"}
        assert json.loads(impersonal(json.dumps(told))) == {
            "model": "~/models/phi",
            "failure": "'~' is full",
        }
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert impersonal('{"model": "/models/phi"}') == '{"model": "/models/phi"}'


def test_a_file_is_named_by_what_it_measured_and_by_no_person(example, tmp_path):
    machine = replace(example.machine, processor="Intel(R) Core(TM) Ultra 7 155H", id="0a1b2c3d")
    found = replace(example, machine=machine)
    artifact = found.participants[0].artifact.name
    file = new_file(found, tmp_path)
    assert file.name == f"{artifact}-intel-r-core-tm-ultra-7-155h-0a1b2c3d.json"
    result.write(found, file)
    assert new_file(found, tmp_path).name == file.name.replace(".json", "-2.json")
    nameless = replace(found, machine=replace(machine, id=None))
    assert new_file(nameless, tmp_path).name.endswith("-155h.json")
