"""What lies in memory of the weights' file while and after OpenVINO repacks them."""

from __future__ import annotations

import mmap
import sys
import threading
from pathlib import Path

import openvino_genai
import pytest
import tiny
from openvino_scorer import EXACT

from aipc.checkpoint import open_checkpoint
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.runtimes.base import Decoding
from aipc.runtimes.openvino.engine import OpenVINORuntime
from aipc.runtimes.openvino.generation import token_tensor
from aipc.runtimes.openvino.repack import mapped_ranges, read_once

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux says what is mapped where"
)

SIZE = 8 << 20
WIDE = tiny.LLAMA | {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some weights.bin"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """An artifact whose matrices are nearly all of it."""
    source, folder = tmp_path_factory.mktemp("wide"), tmp_path_factory.mktemp("wide-artifact")
    tiny.write_checkpoint(source, WIDE, tiny.random_tensors(WIDE))
    with open_checkpoint(source) as checkpoint:
        plan_openvino(checkpoint, Recipe("int8")).write(folder)
    return folder


def resident(path):
    """Bytes of a file that are mapped into this process and in memory."""
    total, counted = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split(maxsplit=5)
        if not name.endswith(":"):
            counted = rest[4:] == [str(path)]
        elif counted and name == "Rss:":
            total += int(rest[0]) * 1024
    return total


def wait_until_gone(path):
    gone = threading.Event()
    for _ in range(500):
        if not resident(path):
            return
        gone.wait(0.02)
    raise AssertionError(f"{resident(path)} bytes are still there")


def test_pages_go_while_more_are_read_and_read_the_same_again(file):
    with file.open("rb") as source, mmap.mmap(source.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        content = bytes(mapped)
        assert resident(file) == SIZE
        with read_once(file):
            wait_until_gone(file)
            assert bytes(mapped) == content
        assert resident(file) == 0
        assert bytes(mapped) == content


def test_a_mapping_that_may_be_written_to_is_left_alone(file):
    with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_COPY) as own:
        own[:5] = b"mine!"
        assert mapped_ranges(file) == []
        with read_once(file):
            pass
        assert own[:5] == b"mine!"


def test_nothing_happens_to_a_file_that_is_not_mapped(file):
    with read_once(file):
        assert resident(file) == 0


def test_an_answer_leaves_the_weights_in_memory_once(wide):
    weights = wide / "openvino_model.bin"
    engine = OpenVINORuntime().open(wide, "cpu", EXACT)
    assert mapped_ranges(weights)
    assert len(list(engine.start([72, 101], Decoding(4), frozenset()))) == 4
    left = resident(weights)
    engine.close()
    assert left < weights.stat().st_size / 10


def test_without_it_they_would_lie_there_twice(wide):
    config = openvino_genai.GenerationConfig(max_new_tokens=1)
    weights = wide / "openvino_model.bin"
    pipeline = openvino_genai.ContinuousBatchingPipeline(
        wide, openvino_genai.SchedulerConfig(), "CPU", EXACT
    )
    pipeline.generate([token_tensor([72])], [config])
    assert resident(weights) > weights.stat().st_size / 2


def test_prompt_lookup_and_unmapped_weights_go_through_it(wide):
    properties = {**EXACT, "ENABLE_MMAP": "NO", "prompt_lookup": "YES"}
    plain = OpenVINORuntime().open(wide, "cpu", EXACT)
    expected = list(plain.start([72, 101], Decoding(8), frozenset()))
    plain.close()
    engine = OpenVINORuntime().open(wide, "cpu", properties)
    assert mapped_ranges(wide / "openvino_model.bin") == []
    assert list(engine.start([72, 101], Decoding(8), frozenset())) == expected
    engine.close()
