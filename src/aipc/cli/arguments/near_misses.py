"""What was meant by a command or an option that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence

import click

from aipc.errors import UsageError
from aipc.tables import read_table

_HELP = "see `{command} --help`"


def unknown_command(word: str, commands: Collection[str], program: str) -> UsageError:
    """The error for ``word`` where one of ``commands`` of ``program`` should stand."""
    what = f"no such command '{word}'"
    meant = _said("command", word) if program == "aipc" else None
    if meant is not None:
        return UsageError(what, f"did you mean `{meant['say']}`?")
    if program == "aipc" and " " in word.strip():
        return UsageError(what, f"did you mean `aipc run {quoted_prompt(word)}`?")
    if program == "aipc" and (name := _model(word)):
        return UsageError(
            f"'{word}' is a model's name and no command",
            f"did you mean `aipc chat -m {name}`?",
        )
    near = difflib.get_close_matches(word.lower(), commands, n=1, cutoff=0.5)
    fix = f"did you mean `{program} {near[0]}`?" if near else _HELP.format(command=program)
    return UsageError(what, fix)


def unknown_option(written: str, context: click.Context) -> UsageError:
    """The error for an option, as it was ``written``, that the context's command has not."""
    flag = written.partition("=")[0]
    what, command = f"no such option '{flag}'", context.command
    flags = _flags(context)
    meant = _said("option", flag, command.name or "", flags)
    if meant is not None:
        is_flag = meant["say"].startswith("-")
        return UsageError(what, f"did you mean {meant['say']}?" if is_flag else meant["say"])
    near = [] if len(flag) <= 2 else difflib.get_close_matches(flag.lower(), flags, n=2, cutoff=0.7)
    if near:
        return UsageError(what, f"did you mean {' or '.join(near)}?")
    return UsageError(what, _HELP.format(command=context.command_path))


def unexpected_word(word: str, context: click.Context) -> UsageError | None:
    """The error for an argument too many that is an option without its dashes; else None."""
    flag = f"--{word.lower()}"
    if flag not in _flags(context):
        return None
    return UsageError(f"unexpected argument '{word}'", f"did you mean {flag}?")


def misplaced_option(flag: str, arguments: Sequence[str], commands: Iterable[str]) -> UsageError:
    """The error for an option before the command that ``arguments`` name."""
    command = next((word for word in arguments if word in set(commands)), None)
    if command is None:
        near = difflib.get_close_matches(flag.lower(), ["--help", "--version", "--debug"], n=1)
        fix = f"did you mean `aipc {near[0]}`?" if near else _HELP.format(command="aipc")
        return UsageError(f"no such option '{flag}'", fix)
    what = f"the option '{flag}' stands before the command"
    return UsageError(what, f"put it behind: `aipc {command} {flag} ...`")


def _flags(context: click.Context) -> list[str]:
    found = context.command.get_params(context)
    names = (name for one in found for name in (*one.opts, *one.secondary_opts))
    return [name for name in names if name.startswith("-")]


def quoted_prompt(text: str) -> str:
    """As a shell takes it; PowerShell and cmd know double quotes too."""
    if not set(text) & set('"$`\\!%'):
        return f'"{text}"'
    return "'" + text.replace("'", "'\\''") + "'"


def _said(
    kind: str, word: str, command: str = "", flags: Collection[str] | None = None
) -> dict[str, str] | None:
    for entry in read_table(__package__, "near_misses.toml")[kind]:
        if word.lower() not in entry["words"] or command not in entry.get("commands", [command]):
            continue
        flag = entry["say"].split()[0]
        if flags is None or not flag.startswith("-") or flag in flags:
            found: dict[str, str] = entry
            return found
    return None


def _model(word: str) -> str | None:
    from aipc.models.catalogue import CATALOGUE  # at use: it reads a file, and few need it

    return CATALOGUE.meant(word)
