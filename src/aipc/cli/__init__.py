"""The command line: parse early, call one function, format late.

One module a command; `command_group` has their names, and imports one when it is called.  No
vendor package is loaded before a command needs it.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from aipc import telemetry
from aipc.child import leave_no_core_file
from aipc.cli.arguments.command_group import Invocation, commands
from aipc.cli.screen.output import flush, make_streams_utf8, report_failure


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C."""
    telemetry.switch_off()
    leave_no_core_file()
    make_streams_utf8()
    if arguments is None and "_AIPC_COMPLETE" in os.environ:
        from aipc.cli.completion import answer_shell

        sys.exit(answer_shell())
    status = run_command(list(sys.argv[1:] if arguments is None else arguments))
    # Looking through all of it for garbage as the interpreter ends took 0.08 s after a session.
    gc.freeze()
    sys.exit(status)


def run_command(arguments: list[str]) -> int:
    """The exit status; whatever goes wrong becomes one line on stderr."""
    invocation = Invocation()
    try:
        status = _invoke(arguments or ["--help"], invocation)
        flush()
    except BaseException as error:  # noqa: BLE001 - the one place where all errors end
        return report_failure(error, debug=invocation.debug)
    return status


def _invoke(arguments: list[str], invocation: Invocation) -> int:
    try:
        with commands.make_context("aipc", arguments, obj=invocation) as context:
            commands.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return 0
