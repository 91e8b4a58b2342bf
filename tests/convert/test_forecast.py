from __future__ import annotations

from dataclasses import replace

import openvino as ov
import pytest
from threadpoolctl import threadpool_info

from aipc.checkpoint import open_checkpoint
from aipc.convert.forecast import forecast, smaller_recipe
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.convert.row_chunks import encode
from aipc.convert.targets import TARGETS


@pytest.fixture
def checkpoint(tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint("phi3")[0]) as opened:
        yield opened


def test_what_is_foretold_covers_what_is_written(checkpoint, converted):
    recipe = Recipe("int8")
    coming = forecast(plan_openvino(checkpoint, recipe))
    written = sum(file.stat().st_size for file in converted(checkpoint.path, recipe).iterdir())
    assert written <= coming.nbytes
    assert 0 < coming.seconds < 60
    assert coming.memory > 100e6


def test_the_recipe_that_fits_is_the_least_drastic_one(checkpoint):
    sizes = {
        name: plan_openvino(checkpoint, Recipe(name)).room for name in ("fp16", "int8", "int4")
    }
    wanted = plan_openvino(checkpoint, Recipe("fp16"))
    assert smaller_recipe(wanted, sizes["int8"]) == Recipe("int8")
    assert smaller_recipe(wanted, sizes["int8"] - 1) == Recipe("int4")
    assert smaller_recipe(wanted, 1000) is None


def test_room_is_foretold_for_what_is_written_on_the_way(checkpoint, tmp_path, monkeypatch):
    drafts, serialize = [], ov.serialize

    def noted(model, xml, constants):
        serialize(model, xml, constants)
        drafts.append(constants.stat().st_size)

    monkeypatch.setattr(ov, "serialize", noted)
    planned = plan_openvino(checkpoint, Recipe("int8"))
    planned.write(tmp_path)
    largest = max(array.nbytes for array in planned.layout.arrays())
    assert largest < drafts[0] < planned.room - planned.nbytes + 2**14  # and the graph's own


def test_the_recipe_that_fits_is_one_that_the_target_runs(checkpoint):
    wanted = plan_openvino(checkpoint, Recipe("fp16"), TARGETS["npu"])
    found = smaller_recipe(wanted, 10**9)
    assert found is not None
    assert TARGETS["npu"].misfit(found) == ""


def test_calibration_takes_more_and_a_head_in_four_bits_more_again(checkpoint):
    recipes = [
        Recipe(quantizer="rtn"),
        Recipe(),
        Recipe(quantizer="gptq"),
        Recipe(quantizer="gptq", all_layers=True),
    ]
    memory = [forecast(plan_openvino(checkpoint, recipe)).memory for recipe in recipes]
    assert memory == sorted(set(memory))


def test_a_check_takes_time_by_its_tokens_and_memory_for_the_artifact(checkpoint):
    planned = plan_openvino(checkpoint, Recipe("int8"))
    plain, checked = forecast(planned), forecast(planned, checked_tokens=512)
    assert checked.seconds > plain.seconds
    assert checked.memory >= plain.memory
    assert checked.nbytes == plain.nbytes
    many = forecast(planned, checked_tokens=10**9)
    assert many.seconds > 10 * checked.seconds


def test_a_chunk_is_timed_on_one_thread_as_it_will_be_written(checkpoint, monkeypatch):
    threads = []

    def noted(*given):
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        threads.append([pool["num_threads"] for pool in pools])
        return encode(*given)

    monkeypatch.setattr("aipc.convert.forecast.encode", noted)
    forecast(plan_openvino(checkpoint, Recipe("int4")))
    assert threads
    assert all(pools and set(pools) == {1} for pools in threads)


def test_what_is_hashed_and_a_large_vocabulary_take_their_time(checkpoint):
    planned = plan_openvino(checkpoint, Recipe("int8"))
    plain = forecast(planned).seconds
    assert forecast(planned, hashed_bytes=10**12).seconds > plain + 60
    wide = replace(planned.network.embedding, rows=100 * planned.network.embedding.rows)
    large = replace(planned, network=replace(planned.network, embedding=wide))
    assert forecast(large).seconds > plain


def test_a_graph_in_text_is_foretold_to_take_longer_than_one_in_bytes(checkpoint):
    recipe = Recipe("fp16")
    xml = forecast(plan_openvino(checkpoint, recipe)).seconds
    assert xml > forecast(plan_onnx(checkpoint, recipe)).seconds
