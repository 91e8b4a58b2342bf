"""What aipc tells of each recipe's quality: src/aipc/convert/quality.toml, of the table's figures.

    python benchmarks/quality_figures.py

Reads docs/quality-turned.json (quality_table.py calls this when it has made it anew); the recipes
are the flags with which quality_artifacts.py made the artifacts.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from quality_artifacts import AIPC

from aipc.cli.arguments.option_flags import flags_of, given
from aipc.convert.recipe import Recipe

ROOT = Path(__file__).parents[1]
SOURCE = "docs/quality-turned.json"
TARGET = ROOT / "src" / "aipc" / "convert" / "quality.toml"
TOKENS = 20_480  # quality_table.py's default
PARAMETERS = 134_515_008  # weights of the small real model, SmolLM2-135M
HEAD = f"""\
# What each recipe loses against the float weights: KL divergence of the next token in nats, share
# of places with the same likeliest token, bits a weight of the blocks.  Made by
# benchmarks/quality_figures.py of {SOURCE}: not to be changed by hand.
source = "{SOURCE}"
parameters = {PARAMETERS}
tokens = {TOKENS}
"""


@click.command()
@flags_of(Recipe)
def parse(**flags: object) -> Recipe:
    return given(Recipe, flags, Recipe())


def figures(rows: list[dict]) -> str:
    """The content of the file; of the table's rows, those of aipc's own recipes."""
    ours = [row for row in rows if row["name"] in AIPC]
    return "\n".join([HEAD, *(figure(row) for row in ours)])


def figure(row: dict) -> str:
    recipe = parse.main(AIPC[row["name"]].split(), standalone_mode=False)
    return (
        f"[[figure]]\n"
        f"recipe = {{ {', '.join(fields(recipe))} }}\n"
        f"kl = {max(row['kl'], 0):.3g}\n"
        f"same_top = {row['same_top']:.3f}\n"
        f"bits = {row['block_bits']:.2f}\n"
    )


def fields(recipe: Recipe) -> list[str]:
    """Those that differ from the defaults, and the ones that people look for."""
    shown = {name for name in vars(recipe) if getattr(recipe, name) != getattr(Recipe, name)}
    shown |= {"weight_format"}
    if recipe.weight_format == "int4":
        shown |= {"group_size", "sym", "quantizer"}
    values = {name: value for name, value in vars(recipe).items() if name in shown}
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


def main() -> None:
    rows = json.loads((ROOT / SOURCE).read_text())
    TARGET.write_text(figures(rows), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
