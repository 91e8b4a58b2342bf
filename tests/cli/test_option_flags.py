from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from aipc.cli.arguments.option_flags import flags_of, given
from aipc.errors import UsageError
from aipc.options import check, option


@dataclass(frozen=True)
class Color:
    shade: str = option("red", "which one", choices=("red", "blue"))
    layers: int = option(1, "how often", choices=(-1, 1, 2))
    gloss: float | None = option(None, "how shiny", minimum=0.0, maximum=1.0)
    drops: int = option(3, "how many", minimum=1)
    sym: bool = option(True, "both sides alike")
    wet: bool = option(False, "still wet")
    tin: str = option("round", "what holds it", default_words="round, or as the shop has it")

    def __post_init__(self) -> None:
        check(self)


@click.command()
@flags_of(Color)
def paint(**flags: object) -> None:
    click.echo(repr(given(Color, flags)))


def run(*arguments: str) -> str:
    return CliRunner().invoke(paint, arguments, catch_exceptions=False).output.strip()


def test_no_flag_is_no_choice() -> None:
    assert run() == "None"


def test_flags_make_the_dataclass() -> None:
    assert run("--shade", "blue", "--layers", "-1", "--gloss", "0.5", "--asym", "--wet") == repr(
        Color(shade="blue", layers=-1, gloss=0.5, sym=False, wet=True)
    )


@pytest.mark.parametrize(
    "arguments",
    [("--shade", "green"), ("--layers", "3"), ("--gloss", "2"), ("--drops", "0"), ("--dry",)],
)
def test_what_the_field_does_not_allow_is_refused(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(paint, arguments).exit_code == 2


def test_help_comes_from_the_fields() -> None:
    text = " ".join(run("--help").split())
    for part in (
        "--shade [red|blue]",
        "Which one. [default: red]",
        "--sym / --asym",
        "[default: sym]",
        "--wet / --no-wet",
        "[default: no-wet]",
        "How shiny. [0.0<=x<=1.0]",
        "How many. [default: 3] [x>=1]",
        "What holds it. [default: round, or as the shop has it]",
    ):
        assert part in text


def test_the_dataclass_has_the_last_word() -> None:
    flags = {
        "shade": "green",
        "layers": None,
        "gloss": None,
        "drops": None,
        "sym": None,
        "wet": None,
        "tin": None,
    }
    with pytest.raises(UsageError, match="green"):
        given(Color, flags)


@dataclass(frozen=True)
class Spice:
    amounts: Mapping[int, float] | None = option(None, "so much of each", minimum=-2, maximum=2)
    batch: int | None = option(None, "which one", minimum=-(2**63), maximum=2**63)

    def __post_init__(self) -> None:
        check(self)


@click.command()
@flags_of(Spice)
def season(**flags: object) -> None:
    click.echo(repr(given(Spice, flags)))


def test_numbers_by_id_are_given_one_by_one_as_here_or_as_llama_cpp_has_them() -> None:
    arguments = ("--amounts", "7=-1.5", "--amounts", "12+1", "--amounts", "9-2")
    outcome = CliRunner().invoke(season, arguments, catch_exceptions=False)
    assert outcome.output.strip() == repr(Spice(amounts={7: -1.5, 12: 1.0, 9: -2.0}))
    assert CliRunner().invoke(season, ()).output.strip() == "None"


@pytest.mark.parametrize("pair", ["7", "x=1", "7=", "=1", "7=1=2", "-7=1", "7=nan"])
def test_what_is_no_such_pair_is_refused(pair: str) -> None:
    outcome = CliRunner().invoke(season, ("--amounts", pair))
    assert outcome.exit_code == 2
    assert "15043=-100" in outcome.output


def test_bounds_of_64_bits_are_not_in_the_help() -> None:
    text = " ".join(CliRunner().invoke(season, ("--help",)).output.split())
    assert "--batch X Which one. --" in text
    assert "Repeat it for more." in text
