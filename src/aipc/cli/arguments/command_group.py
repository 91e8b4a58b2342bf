"""The commands by name, each imported when it is called and not before."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

import aipc
from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.near_misses import misplaced_option, unknown_command

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "run": "Answer one prompt, streamed.",
    "chat": "Hold a conversation in the terminal.",
    "serve": "Answer OpenAI's API and a page in the browser.",
    "batch": "Answer many prompts from a file, as many at once as the engine batches.",
    "embed": "Print the vectors of texts, by a model that makes embeddings.",
    "rerank": "Print the lines of a file by how well they answer a query.",
    "convert": "Make an artifact from a model, quantized for a runtime and a device.",
    "export": "Write a model for OpenVINO Model Server and KServe.",
    "eval": "Judge how well a model answers, and what quantizing cost it.",
    "pull": "Fetch a model into the store.",
    "models": "List what the store holds, or what can be fetched by a short name.",
    "rm": "Remove models and artifacts from the store.",
    "verify": "Check every file of the store against its hash.",
    "cache": "List, make and remove the models compiled for the NPU.",
    "bench": "Measure speed, memory and energy, beside peers and beside what is possible.",
    "prove": "Try every device here, and make a file of what came of it to attach to an issue.",
    "report": "Make a page of tables and pictures from results.",
    "devices": "Show what this machine can compute with.",
    "doctor": "Check the machine, and say what mends what is wrong.",
    "completion": "Print what completes commands and options in a shell.",
    "service": "Run `aipc serve` whenever you are logged in.",
    "upgrade": "Say what brings a newer aipc, or what an extra of it needs.",
    "tune": "Measure what runs a model best on this machine, and keep to it.",
    "top": "Watch the load of NPU, GPU and CPU, and the speed of running sessions.",
}
"""Name → what it does; the command is the object of that name in aipc.cli's module of that name."""


@dataclass
class Invocation:
    """What holds for one call of the program, whatever the command."""

    debug: bool = False


class CommandGroup(click.Group):
    """Commands whose near misses are told."""

    command_class = SectionedCommand

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if self.get_command(ctx, word) is None and not ctx.resilient_parsing:
            raise unknown_command(word, self.list_commands(ctx), ctx.command_path)
        return super().resolve_command(ctx, args)


class LazyGroup(CommandGroup):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        written = list(args)  # click empties it
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise misplaced_option(error.option_name, written, COMMANDS) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"aipc.cli.{cmd_name}"), cmd_name)
        if _debug not in command.params:
            command.params.append(_debug)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        named = [(name, what) for name, what in COMMANDS.items() if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=what) for name, what in named), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _note_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        context.ensure_object(Invocation).debug = True


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        click.echo(f"aipc {aipc.__version__}")
        context.exit()


_debug = click.Option(
    ["--debug"],
    is_flag=True,
    expose_value=False,
    callback=_note_debug,
    help="When it fails, show where; of a server, log polling too.",
)
_version = click.Option(
    ["--version"],
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)

commands = LazyGroup(
    "aipc",
    params=[_version, _debug],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Run Phi-3 and its kin on the NPU, GPU and CPU of this computer.",
    epilog="`aipc COMMAND --help` says more. AIPC_HOME moves the store.",
)
