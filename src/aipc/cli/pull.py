"""``aipc pull``: from a name to files on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.model_parameter import model_parameter
from aipc.cli.arguments.option_flags import given
from aipc.cli.arguments.session_flags import recipe_flags
from aipc.cli.screen.output import write_line
from aipc.cli.screen.progress_bar import display
from aipc.convert.recipe import Recipe
from aipc.errors import UsageError

_OF_A_MIRROR = {"target": "--for", "runtime": "--runtime", "sha256": "--sha256"}


@click.command(cls=SectionedCommand)
@model_parameter(is_required=True)
@click.option(
    "--from",
    "address",
    metavar="MIRROR",
    help="Copy what was converted of it instead, out of a store in a folder elsewhere: http://, "
    "https://, a shared path, or a URL that fsspec opens. The flags below say which artifact.",
)
@click.option("--sha256", default="", metavar="HASH", help="Of the mirror's aipc.json.")
@click.option(
    "--for",
    "target",
    default="",
    metavar="DEVICE",
    help="The device that it was converted for; without it, the first of this machine's.",
)
@click.option(
    "--runtime", default="", metavar="NAME", help="The runtime that opens it: openvino or onnx."
)
@recipe_flags
def pull(model: str, address: str | None, **flags: Any) -> None:
    """Fetch MODEL into the store, if it is not there yet, and print its path.

    MODEL is a short name (`aipc models --available`) or a hub id (org/name[@revision]); with --from
    the name of a folder in the mirror's store, too.
    """
    recipe = given(Recipe, flags)
    if address is None:
        _refuse_idle(flags, recipe)
    from aipc.session import pull

    with display() as shown:
        if address is None:
            path = pull.pull(model, progress=shown, notify=shown.notice)
        else:
            path = pull.pull_from(
                address,
                model,
                recipe,
                target=flags["target"],
                runtime=flags["runtime"] or "auto",
                sha256=flags["sha256"],
                progress=shown,
                notify=shown.notice,
            )
    write_line(str(path))


def _refuse_idle(flags: Mapping[str, Any], recipe: Recipe | None) -> None:
    idle = [flag for name, flag in _OF_A_MIRROR.items() if flags[name]]
    if idle or recipe is not None:
        what = f"{idle[0] if idle else 'a recipe'} says which artifact of a mirror is meant"
        raise UsageError(what, "name the mirror with --from, or leave it out")
