"""``aipc bench``: how fast a model runs here, beside its peers and beside what is possible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aipc.cli.arguments.command import SectionedCommand, section
from aipc.cli.arguments.exclusions import refuse_beside
from aipc.cli.arguments.model_parameter import adapter_flag, model_parameter
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.arguments.session_flags import loading_flags, session_options
from aipc.cli.screen.output import notice, write_json, write_line
from aipc.cli.screen.progress_bar import display
from aipc.convert.recipe import Recipe
from aipc.errors import MeasurementError, UsageError
from aipc.measure.bench.options import BenchOptions

if TYPE_CHECKING:
    from aipc.measure.bench.plan import BenchPlan
    from aipc.measure.bench.result import Result

F = TypeVar("F", bound=Callable[..., Any])


def _lengths(
    context: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,
    text: str,
) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(
            f"{parameter.opts[0]} '{text}' is no list of whole numbers", "write 32,256,1024, say"
        )
    return tuple(dict.fromkeys(map(int, parts)))


def _lengths_flag(flag: str, name: str, default: str, what: str) -> Callable[[F], F]:
    return click.option(
        flag,
        name,
        default=default,
        show_default=True,
        callback=_lengths,
        metavar="N,N…",
        help=what,
    )


@click.command(cls=SectionedCommand)
@model_parameter()
@adapter_flag
@_lengths_flag("--prompt", "prompts", "32,256", "Prompt lengths in tokens.")
@_lengths_flag(
    "--tokens", "outputs", "64", "Answer lengths in tokens; nothing ends an answer early."
)
@_lengths_flag("--batch", "batches", "1", "Prompts answered at once.")
@click.option(
    "--text",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Cut the prompts from this file; without it they are random token ids.",
)
@section("Measurement", flags_of(BenchOptions))
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME[:defaults][=PATH]",
    help="Measure this one in turn with aipc; repeatable. With aipc's properties where its runtime "
    "is the same, or with its vendor's defaults; PATH is its own model. --peer list shows them.",
)
@click.option(
    "--peer-python",
    "pythons",
    multiple=True,
    metavar="NAME=PYTHON",
    help="The interpreter that has the peer's packages; repeatable.",
)
@click.option(
    "--install-peer",
    "installs",
    multiple=True,
    metavar="NAME",
    help="Make the peer's own environment, and end; repeatable.",
)
@click.option(
    "--compare",
    nargs=2,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="A B",
    help="How many times as fast the result A is as the result B; nothing is measured.",
)
@click.option(
    "--fleet",
    metavar="ADDRESS",
    help="Measure on every node of a Ray cluster: HOST:PORT, ray://HOST:PORT, auto for one that "
    "runs here, or local for a Ray started here. Each result is a file of the folder -o.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The result file, or with --fleet the folder; else in the store. Never overwritten.",
)
@click.option("--json", "wants_json", is_flag=True, help="The result file's content on stdout.")
@loading_flags
def bench(
    model: str | None,
    installs: tuple[str, ...],
    compare: tuple[Path, Path] | None,
    fleet: str | None,
    output: Path | None,
    wants_json: bool,
    **flags: Any,
) -> None:
    """Measure how fast MODEL answers on this computer, and how near that is to the possible.

    Each participant runs in a process of its own, in turn with the others; their speeds are
    quoted as ratios with intervals. The raw samples go into a result file.
    """
    if compare is not None:
        refuse_beside("--compare", {"compare", "wants_json"})
        _compare(*compare, wants_json=wants_json)
    elif "list" in flags["peers"]:
        refuse_beside("--peer list", {"peers"})
        _list_peers()
    elif installs:
        refuse_beside("--install-peer", {"installs"})
        _install(installs)
    elif fleet is not None:
        _measure_fleet(_plan(model, flags), fleet, output, wants_json=wants_json)
    else:
        _show(_measure(_plan(model, flags), output), wants_json=wants_json)


def _plan(model: str | None, flags: dict[str, Any]) -> BenchPlan:
    from aipc.measure.bench.plan import BenchPlan
    from aipc.measure.peers.peers import read_python, read_spec

    if flags["emulate"]:
        raise UsageError("an emulated NPU has no speed worth measuring", "leave out --emulate")
    text: Path | None = flags["text"]
    peers, pythons = tuple(map(read_spec, flags["peers"])), dict(map(read_python, flags["pythons"]))
    for name in pythons:
        if name not in {peer.name for peer in peers}:
            raise UsageError(
                f"--peer-python names {name}, which is not measured", f"add --peer {name}"
            )
    return BenchPlan(
        model=model,
        wanted=session_options(flags),
        recipe=given(Recipe, flags),
        prompts=flags["prompts"],
        outputs=flags["outputs"],
        batches=flags["batches"],
        text=None if text is None else text.read_text("utf-8", errors="replace"),
        peers=peers,
        pythons=pythons,
        options=given(BenchOptions, flags) or BenchOptions(),
    )


def _measure(plan: BenchPlan, output: Path | None) -> Result:
    from aipc.measure.bench import result
    from aipc.measure.bench.bench import measure, new_file
    from aipc.models.store import Store

    store = Store()
    if output is not None and output.exists():
        raise UsageError(f"'{output}' exists already", "choose another name")
    with display() as progress:
        found = measure(plan, store=store, progress=progress, notify=progress.notice)
    file = output or new_file(found, store)
    result.write(found, file)
    notice(f"result: {file}")
    return found


def _measure_fleet(plan: BenchPlan, address: str, output: Path | None, *, wants_json: bool) -> None:
    from aipc.measure.bench import result
    from aipc.measure.bench.fleet import measure_fleet, new_folder
    from aipc.models.store import Store

    folder = output or new_folder(Store())
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{folder}' is no folder", "with --fleet, -o names one")
    found = measure_fleet(plan, address, folder, notice)
    if wants_json:
        failures = [{"node": node, "error": str(error)} for node, error in found.failures]
        write_json({"files": [str(file) for file in found.files], "failures": failures})
    elif found.files:
        from aipc.cli.screen.bench_tables import write_fleet

        write_fleet([result.read(file) for file in found.files])
    if found.files:
        notice(f"side by side: aipc report {folder}")
    if found.failures:
        nodes = len(found.failures) + len(found.files)
        raise MeasurementError(
            f"{len(found.failures)} of {nodes} nodes gave no result",
            "their errors stand above; the others' files are whole",
        )


def _show(found: Result, *, wants_json: bool) -> None:
    if wants_json:
        from aipc.records import plain

        write_json(plain(found))
        return
    from aipc.cli.screen.bench_tables import write_result

    write_result(found)


def _compare(first: Path, second: Path, *, wants_json: bool) -> None:
    from aipc.measure.bench import result
    from aipc.measure.bench.figures import between
    from aipc.records import plain

    found = between(result.read(first), result.read(second))
    if wants_json:
        write_json(plain(found))
        return
    from aipc.cli.screen.bench_tables import write_ratios

    for note in found.notes:
        notice(f"note: {note}")
    write_line(f"How many times as fast {first} is as {second}:")
    write_ratios(found.ratios)


def _list_peers() -> None:
    from aipc.cli.screen.output import write_table
    from aipc.measure.peers.peers import peers

    rows = [
        (
            one.name,
            one.format,
            " ".join(one.kinds),
            one.what + (f" ({one.costs})" * bool(one.costs)),
        )
        for one in peers().values()
    ]
    write_table(("PEER", "LOADS", "DEVICES", "WHAT"), rows)


def _install(names: tuple[str, ...]) -> None:
    from aipc.measure.peers.peers import find_peer, install
    from aipc.models.store import Store

    for peer in map(find_peer, names):
        install(peer, Store(), notice)
