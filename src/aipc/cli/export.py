"""``aipc export``: a model for another server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import SectionedCommand, section
from aipc.cli.arguments.model_parameter import model_parameter
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.arguments.session_flags import recipe_flags
from aipc.cli.screen.output import notice, notice_folded, write_json, write_line
from aipc.cli.screen.progress_bar import display
from aipc.convert.recipe import Recipe
from aipc.export.options import ServingOptions

if TYPE_CHECKING:
    from aipc.export.ovms import Exported

_DEVICES = {"gpu": "--device /dev/dri ", "npu": "--device /dev/accel "}
"""What the container has to be given, by the device."""


@click.command(cls=SectionedCommand)
@model_parameter(is_required=True)
@click.option(
    "--ovms",
    "root",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The repository of OpenVINO Model Server; other models in it stay.",
)
@click.option("--name", default="", metavar="NAME", help="What clients call it; default: its own.")
@click.option(
    "--for",
    "target",
    type=click.Choice(["cpu", "gpu", "npu"]),
    default="cpu",
    show_default=True,
    help="The device of the machine that is to serve it.",
)
@click.option(
    "--storage",
    metavar="URI",
    help="Where a cluster finds DIR: pvc://CLAIM[/PATH], s3://BUCKET …; for KServe's manifest.",
)
@click.option("--json", "wants_json", is_flag=True, help="One JSON object: paths, version, why.")
@section("Serving", flags_of(ServingOptions))
@recipe_flags
def export(model: str, root: Path, wants_json: bool, **flags: Any) -> None:
    """Write MODEL as OpenVINO Model Server and KServe take it, and print the folder.

    Weights are hard links to those in the store where both are on one disk.
    """
    recipe, options = given(Recipe, flags), given(ServingOptions, flags)
    from aipc.export.ovms import STORAGE, export_ovms

    with display() as shown:
        done = export_ovms(
            model,
            root,
            recipe,
            target=flags["target"],
            name=flags["name"],
            options=options,
            storage=flags["storage"] or STORAGE,
            progress=shown,
            notify=shown.notice,
        )
    if wants_json:
        write_json(_facts(done))
        return
    _tell(done, root, flags["target"])
    write_line(str(done.version.path))


def _tell(done: Exported, root: Path, target: str) -> None:
    state = "as it was exported before" if done.version.reused else "exported"
    notice(f"{done.name}, version {done.version.number}, {state}")
    for reason in done.why:
        notice_folded(f"- {reason}")
    notice_folded(
        f"docker run --rm {_DEVICES.get(target, '')}-v {root.absolute()}:/models:ro "
        f"-p 127.0.0.1:8000:8000 {done.image} "
        f"--config_path /models/{done.config.name} --rest_port 8000"
    )
    notice_folded(f"kubectl apply -f {done.kserve}")


def _facts(done: Exported) -> dict[str, Any]:
    return {
        "name": done.name,
        "version": done.version.number,
        "path": str(done.version.path),
        "nbytes": done.version.nbytes,
        "reused": done.version.reused,
        "config": str(done.config),
        "kserve": str(done.kserve),
        "image": done.image,
        "why": list(done.why),
    }
