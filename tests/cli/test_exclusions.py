"""Every option beside every other one that could leave it without effect."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click
import pytest

from aipc.cli.arguments.command_group import Invocation, commands
from aipc.cli.arguments.option_flags import given
from aipc.convert.recipe import Recipe
from aipc.devices.device import NAMES
from aipc.errors import UsageError
from aipc.options import describe
from aipc.runtimes.openvino.static_shape import NpuOptions

MODES = {
    "devices --ray": {"wants_ray"},
    "tune --list": {"wants_list", "wants_json"},
    "tune tiny --forget": {"forget", "model", "model_argument"},
    "bench --peer list": {"peers"},
    "bench --install-peer optimum": {"installs"},
    "bench --compare FILE FILE": {"compare", "wants_json"},
}
"""A command line that does something else than its command, and what has an effect there."""
SPECIAL = {
    "ov_config": ["A=1"],
    "onnx_config": ["A=1"],
    "compare": ["FILE", "FILE"],
    "text": ["FILE"],
    "prompts": ["8"],
    "outputs": ["8"],
    "batches": ["1"],
    "pythons": ["optimum=FILE"],
}
"""Values that can't be made up from an option's type."""
CHOICES: dict[str, tuple[Any, ...]] = {
    "weight_format": ("int4", "int8", "fp16"),
    "group_size": ("128", "64"),
    "ratio": (1.0, 0.5),
    "sym": (True, False),
    "embedding": ("int8", "int4"),
    "all_layers": (False, True),
    "quantizer": ("search", "rtn", "awq", "gptq"),
    "calibration": ("builtin", "mine.txt"),
    "requantize": (False, True),
}
"""Of a recipe's flags, the default first."""


def parameters(command: str) -> dict[str, click.Parameter]:
    found = commands.get_command(click.Context(commands, obj=Invocation()), command)
    assert found is not None
    return {one.name or "": one for one in found.params}


def written(parameter: click.Parameter) -> list[str]:
    """The option on a command line, with a value that it takes."""
    flag = max(parameter.opts, key=len)
    if getattr(parameter, "is_flag", False):
        return [flag]
    if parameter.name in SPECIAL:
        return [flag, *SPECIAL[parameter.name]]
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return [flag, kind.choices[0]]
    return [flag, str(getattr(kind, "min", None) or 1)]


def beside() -> list[tuple[str, str]]:
    return [
        (line, name)
        for line, own in MODES.items()
        for name, parameter in parameters(line.split()[0]).items()
        if isinstance(parameter, click.Option) and name not in {*own, "debug"}
        # another mode, which stands first
        if name not in {"compare", "peers", "wants_list"}
    ]


@pytest.mark.parametrize(("line", "name"), beside())
def test_nothing_is_dropped_beside_another_mode(aipc, tmp_path: Path, line: str, name: str) -> None:
    file = tmp_path / "file"
    file.write_text("{}")
    word, *mode = line.split()
    parameter = parameters(word)[name]
    arguments = [*mode, *written(parameter)]
    outcome = aipc(word, *(one.replace("FILE", str(file)) for one in arguments))
    assert (outcome.status, outcome.stdout) == (2, "")
    assert f"{max(parameter.opts, key=len)} has no effect beside" in outcome.stderr


def test_a_model_is_not_dropped_either(aipc) -> None:
    assert "MODEL has no effect beside --list" in aipc("tune", "tiny", "--list").stderr


def test_the_choices_below_are_all_that_there_are() -> None:
    assert set(CHOICES) == {one.name for one in describe(Recipe)}


def accepted(**flags: Any) -> Recipe | None:
    try:
        return given(Recipe, flags)
    except UsageError:
        return None


@pytest.mark.parametrize("name", [one for one in CHOICES if one != "weight_format"])
@pytest.mark.parametrize("quantizer", [None, "awq"])
@pytest.mark.parametrize("all_layers", [None, True])
@pytest.mark.parametrize("weight_format", ["fp16", "int8", "int4"])
def test_a_recipe_s_flag_is_refused_or_makes_a_difference(
    name: str, quantizer: str | None, all_layers: bool | None, weight_format: str
) -> None:
    """Also with the value that it has by default: then another has to be taken too, and differ."""
    others = {"weight_format": weight_format, "quantizer": quantizer, "all_layers": all_layers}
    others.pop(name, None)
    made = [accepted(**others, **{name: value}) for value in CHOICES[name]]
    taken = [recipe for recipe in made if recipe is not None]
    says_no = CHOICES[name][0] is False  # "--no-requantize" holds where nothing is quantized
    if taken and not (says_no and taken == made[:1]):
        assert len({recipe.flags for recipe in taken}) == len(taken) > 1


@pytest.mark.parametrize(
    "flags",
    [
        {"calibration": "builtin"},
        {"calibration": "builtin", "quantizer": "rtn"},
        {"weight_format": "fp16", "group_size": "128"},
        {"weight_format": "fp16", "sym": True},
        {"weight_format": "fp16", "quantizer": "search"},
        {"weight_format": "int8", "ratio": 1.0},
        {"all_layers": True, "embedding": "int8"},
    ],
)
def test_what_is_so_by_default_is_not_dropped_where_it_means_nothing(flags: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="means nothing with"):
        given(Recipe, flags)


NPU = ["emulate", "overflow", *(one.name for one in describe(NpuOptions))]


@pytest.mark.parametrize(
    ("name", "device"),
    list(itertools.product(NPU, [name for name in NAMES if name not in {"auto", "npu"}])),
)
def test_the_npu_s_options_are_refused_elsewhere(aipc, stand_in, name: str, device: str) -> None:
    stand_in()
    parameter = parameters("run")[name]
    flag = max(parameter.opts, key=len)
    arguments = [flag, "cpu"] if name == "overflow" else written(parameter)
    outcome = aipc("run", "x", "--device", device, *arguments)
    assert outcome.status == 2
    assert f"{flag} is for the NPU, and the device is '{device}'" in outcome.stderr
    assert aipc("run", "x", *arguments, "--device", "NPU").status == 0


@pytest.mark.parametrize("flags", [("--top-k", "5"), ("--top-p", "0.5"), ("--min-p", "0.1")])
def test_the_likeliest_token_alone_is_not_sampled(aipc, stand_in, flags: tuple[str, str]) -> None:
    stand_in()
    outcome = aipc("run", "x", "--temperature", "0", *flags)
    assert outcome.status == 2
    assert f"{flags[0]} means nothing with --temperature 0" in outcome.stderr
    assert aipc("run", "x", "--temperature", "0.1", *flags).status == 0
    assert aipc("run", "x", *flags).status == 0


def test_a_seed_or_what_is_off_does_no_harm_without_sampling(aipc, stand_in) -> None:
    stand_in()
    assert aipc("run", "x", "--temperature", "0", "--seed", "1").status == 0
    assert aipc("run", "x", "--temperature", "0", "--top-k", "0").status == 0


@pytest.mark.parametrize("flags", [("--thinking-budget", "5"), ("--reasoning-effort", "high")])
def test_how_much_to_think_where_nothing_is_thought(aipc, stand_in, flags: tuple[str, str]) -> None:
    stand_in()
    outcome = aipc("run", "x", "--no-think", *flags)
    assert outcome.status == 2
    assert f"{flags[0]} means nothing with --no-think" in outcome.stderr


def test_a_server_that_could_not_answer_is_not_left_behind(aipc, stand_in) -> None:
    stand_in()
    outcome = aipc("run", "x", "--json", "--top-logprobs", "2", "--keep-warm", "1m")
    assert outcome.status == 2
    assert "--keep-warm" in outcome.stderr


def test_the_interpreter_of_a_peer_that_is_not_measured(aipc) -> None:
    outcome = aipc("bench", "tiny", "--peer-python", "optimum=/usr/bin/python3")
    assert outcome.status == 2
    assert "add --peer optimum" in outcome.stderr
