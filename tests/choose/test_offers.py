from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from aipc.artifact.config import stretched_context
from aipc.choose.offers import CONTEXT, Room, offers, recommended
from aipc.convert.encoders.kinds import ENCODERS
from aipc.convert.families.network_reader import describe_network
from aipc.devices import Device
from aipc.models.catalogue import CATALOGUE, KINDS

GB = 10**9
OFFERS = offers()
PAGE = Path(__file__).parents[2] / "docs" / "models.md"
CPU = Device("CPU", "cpu", "A CPU", runtimes=("openvino", "onnx"))
SHARED = Device("GPU", "gpu", "A GPU", memory_bytes=8 * GB, facts={"type": "integrated"})
ARC = Device("GPU.1", "gpu", "An Arc", memory_bytes=12 * GB, facts={"type": "discrete"})
CUDA = Device("CUDA", "cuda", "A GeForce", memory_bytes=24 * GB)
SOFTWARE = Device("WEBGPU", "webgpu", "llvmpipe", facts={"type": "software"})


def room(gigabytes: int, *devices: Device, cores: int | None = 8) -> Room:
    """Of a PC that is sold with so much memory, of which the firmware keeps a little."""
    return Room.of([CPU, *devices], int(0.97 * gigabytes * 2**30), cores)


def best(of: Room) -> str | None:
    found = recommended(OFFERS, of)
    return found and found.model.name


CHAT = [name for name, model in CATALOGUE.items() if model.kind == "chat"]
ENCODING = [name for name, model in CATALOGUE.items() if model.config["model_type"] in ENCODERS]


@pytest.mark.parametrize("name", CHAT)
def test_parameters_follow_from_the_sizes_that_the_catalogue_has(name: str) -> None:
    model = CATALOGUE[name]
    network = describe_network(model.config)
    assert network.parameters == model.parameters
    assert network.context == model.context
    assert stretched_context(model.config) <= model.context


@pytest.mark.parametrize("name", ENCODING)
def test_parameters_of_encoders_follow_from_their_sizes(name: str) -> None:
    """Of BERT: https://github.com/google-research/bert, modeling.py."""
    model = CATALOGUE[name]
    size = {key: value for key, value in model.config.items() if isinstance(value, int)}
    width, inner = size["hidden_size"], size["intermediate_size"]
    lookups = size["vocab_size"] + size["max_position_embeddings"] + size["type_vocab_size"]
    norm = 2 * width
    layer = 4 * (width + 1) * width + (width + 1) * inner + (inner + 1) * width + 2 * norm
    head = (width + 1) * (width + size.get("num_labels", 0))
    counted = lookups * width + norm + size["num_hidden_layers"] * layer + head
    assert counted == model.parameters
    assert model.context <= size["max_position_embeddings"]


@pytest.mark.parametrize(
    ("gigabytes", "fitting", "too_large"),
    [
        (4, "qwen3-1.7b", "phi-4-mini"),
        (8, "phi-3-mini-128k", "qwen3-8b"),
        (16, "phi-4", ""),
        (32, "qwen3-14b", ""),
        (64, "qwen3-14b", ""),
    ],
)
def test_what_fits_a_machine(gigabytes: int, fitting: str, too_large: str) -> None:
    held = {one.model.name for one in OFFERS if room(gigabytes).holds(one)}
    assert fitting in held
    assert too_large not in held


@pytest.mark.parametrize(
    ("gigabytes", "cores", "name"),
    [
        (2, 4, None),
        (4, 8, "qwen3-1.7b"),
        (8, 8, "qwen3-4b-2507"),
        (16, 2, "qwen3-0.6b"),
        (16, 8, "qwen3-4b-2507"),
        (64, None, "qwen3-30b-a3b"),
    ],
)
def test_a_cpu_alone_is_recommended_what_it_answers_fluently(
    gigabytes: int, cores: int | None, name: str | None
) -> None:
    assert best(room(gigabytes, cores=cores)) == name


def test_a_gpu_is_recommended_the_largest_that_fits() -> None:
    assert best(room(8, SHARED)) == "qwen3-4b-2507"
    assert best(room(16, SHARED)) == "qwen3-14b"
    assert best(room(8, CUDA)) == "qwen3-30b-a3b"
    assert best(room(16, SOFTWARE)) == "qwen3-4b-2507"


def test_of_a_mixture_the_active_experts_count_for_speed_and_all_for_memory() -> None:
    (mixture,) = offers([CATALOGUE["qwen3-30b-a3b"]])
    # 8 of 128 experts, embedding and head among them: config.json of Qwen3-30B-A3B
    assert mixture.token_weights == pytest.approx(3.35e9, rel=0.01)
    assert mixture.nbytes == pytest.approx(0.55 * mixture.model.parameters, rel=0.05)
    assert best(room(32)) == "qwen3-30b-a3b"


def test_memory_of_its_own_is_room_too() -> None:
    assert room(16, ARC, CUDA).largest == 24 * GB
    assert room(64, ARC) == replace(room(64), gpu_memory=12 * GB, has_gpu=True)
    assert room(64, ARC).largest == room(64, SHARED).largest == room(64).memory


def test_memory_is_that_of_weights_process_and_conversation() -> None:
    one, short = offers([CATALOGUE["phi-3-mini-128k"]]) + offers([CATALOGUE["phi-3-mini"]])
    assert (one.context, short.context) == (CONTEXT, 4096)
    # docs/models.md: 0.55 GB a billion weights in int4, and 0.4 MB a token in 16 bits
    assert one.nbytes == pytest.approx(0.55 * one.model.parameters, rel=0.05)
    assert one.memory > 1.2 * one.nbytes
    assert (one.memory - short.memory) / 4096 == pytest.approx(400_000, rel=0.05)


def test_the_precision_is_that_of_a_conversion_without_flags() -> None:
    formats = {one.model.name: one.recipe.weight_format for one in OFFERS}
    assert formats["qwen3-0.6b"] == "int8"
    assert formats["qwen3-1.7b"] == "int4"


def test_what_this_version_cannot_convert_is_not_offered() -> None:
    known = CATALOGUE["phi-3-mini"]
    other = replace(known, name="other", config={**known.config, "model_type": "mamba"})
    assert [one.model for one in offers([other, known])] == [known]


def test_offers_are_in_the_order_of_their_size_those_to_talk_to_first() -> None:
    assert [one.model.kind for one in OFFERS][: len(CHAT)] == ["chat"] * len(CHAT)
    for kind in KINDS:
        parameters = [one.model.parameters for one in OFFERS if one.model.kind == kind]
        assert parameters
        assert parameters == sorted(parameters)


def test_the_page_s_table_is_what_the_catalogue_recommends() -> None:
    stated = re.search(
        r"<!-- by memory -->\n(.*?)<!-- end by memory -->", PAGE.read_text(), re.DOTALL
    )
    assert stated is not None
    assert stated[1].splitlines() == _table()


def _table() -> list[str]:
    head = "| memory of the PC | on the CPU | with a GPU | the largest that fit |"
    lines = [head, "|---|---|---|---|"]
    for gigabytes in (4, 8, 16, 32, 64):
        chat = [one for one in OFFERS if one.model.kind == "chat" and not one.model.gated]
        free = [one for one in chat if room(gigabytes).holds(one)]
        largest = ", ".join(f"`{one.model.name}`" for one in free[:-4:-1])
        alone, by_gpu = best(room(gigabytes)), best(room(gigabytes, SHARED))
        lines.append(f"| {gigabytes} GB | `{alone}` | `{by_gpu}` | {largest} |")
    return lines
