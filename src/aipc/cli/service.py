"""``aipc service``: `aipc serve` started whenever this user logs in."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aipc.artifact.files import ADAPTER
from aipc.cli.screen.output import notice, write, write_line
from aipc.errors import UsageError

if TYPE_CHECKING:
    from aipc.serve.service.service import ServiceManager

_ADAPTER = re.compile(r"([\w.-]+=)(.+?)(:-?[\d.]+)?", re.ASCII)
"""Of `aipc serve --adapter`: a name, a folder and a scale."""


@click.group()
def service() -> None:
    """Have `aipc serve` run whenever you are logged in: for you alone, without root."""


@service.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option(
    "--dry-run", is_flag=True, help="Print the file that describes it, and change nothing."
)
@click.argument("serve_options", nargs=-1, type=click.UNPROCESSED)
def install(dry_run: bool, serve_options: tuple[str, ...]) -> None:
    """Install and start it, with the options of `aipc serve`, or replace the one that is there."""
    from aipc.cli.serve import read_options, serve
    from aipc.models.store import Store
    from aipc.serve.service import service as services

    # what `aipc serve` refuses, a service would be started for again and again
    with serve.make_context("serve", list(serve_options)) as context:
        _check_key(context.params["api_key_file"])
        read_options(
            context.params["models"] or context.params["named"],
            context.params["aliases"],
            context.params,
        )
    folder = Store().home
    command = services.serve_command([*map(_absolute, serve_options)], folder)
    manager = _manager(folder)
    if dry_run:
        content = manager.describe(command)
        write(content.decode("utf-16" if content.startswith(b"\xff\xfe") else "utf-8"))
        return
    folder.mkdir(parents=True, exist_ok=True)
    services.install(manager, command)
    write_line(f"installed: {manager.file}")
    if manager.name == "systemd":
        notice("to have it run while you are not logged in: loginctl enable-linger")


@service.command()
def remove() -> None:
    """Stop it and remove it."""
    from aipc.models.store import Store
    from aipc.serve.service import service as services

    manager = _manager(Store().home)
    was_there = services.remove(manager)
    write_line(f"removed: {manager.file}" if was_there else "no service is installed")


@service.command()
@click.pass_context
def status(context: click.Context) -> None:
    """Say whether it is installed and runs; the exit status is 1 where it does not run."""
    from aipc.models.store import Store
    from aipc.serve.service import service as services

    manager = _manager(Store().home)
    if not manager.file.exists():
        write_line("no service is installed")
        context.exit(1)
    is_running = services.is_running(manager)
    write_line(f"{'running' if is_running else 'installed, not running'}: {manager.file}")
    context.exit(0 if is_running else 1)


def _manager(store: Path) -> ServiceManager:
    from aipc.serve.service.launchd import Launchd
    from aipc.serve.service.systemd import Systemd
    from aipc.serve.service.task_scheduler import TaskScheduler

    if sys.platform == "win32":
        return TaskScheduler(store)
    return Launchd() if sys.platform == "darwin" else Systemd()


def _check_key(file: Path | None) -> None:
    """Refuse to leave out the key that `aipc serve` would take here.

    Raises:
        UsageError: it is in the environment, of which a service gets no secret.
    """
    from aipc.serve.http.binding import KEY_VARIABLE

    if file is None and os.environ.get(KEY_VARIABLE):
        what = f"{KEY_VARIABLE} is set, and a service gets no secret of the environment"
        raise UsageError(what, "give --api-key-file FILE, or unset it")


def _is_adapter(path: Path) -> bool:
    return (path / ADAPTER).is_file() or (path.suffix.lower() == ".gguf" and path.is_file())


def _absolute(argument: str) -> str:
    """A path, made independent of the folder that the command was given in.

    A short name is none, whatever lies in that folder.
    """
    from aipc.models.catalogue import CATALOGUE

    is_long = argument.startswith("--")
    flag, sign, value = argument.partition("=") if is_long else ("", "", argument)
    if (given := _ADAPTER.fullmatch(value)) and _is_adapter(Path(given[2])):
        name, folder, scale = given.groups(default="")
        return f"{flag}{sign}{name}{Path(folder).absolute()}{scale}"
    if not value or value.startswith("-") or value in CATALOGUE or not Path(value).exists():
        return argument
    return f"{flag}{sign}{Path(value).absolute()}"
