"""``aipc run``: one prompt, one answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.answering.answer import (
    as_json,
    read_sampling,
    show,
    show_reasons,
    show_timings,
    timing_facts,
    warn_if_cut,
)
from aipc.cli.answering.loop import loop_flag, loop_of, loop_options, loop_remedies, warn_if_looped
from aipc.cli.answering.server_session import find_server, keep_warm_flag, server_flags
from aipc.cli.answering.stdin import check_text, read_prompt
from aipc.cli.answering.thinking import thinking_flags, thinking_options
from aipc.cli.arguments.command import SectionedCommand, section
from aipc.cli.arguments.model_parameter import adapter_flag, model_option
from aipc.cli.arguments.prompt_argument import read_argument
from aipc.cli.arguments.session_flags import (
    make_ready_later,
    open_session,
    sampling_of,
    session_flags,
)
from aipc.cli.screen.output import notice, write_json
from aipc.errors import GenerationError, UsageError
from aipc.runtimes.base import MOST_ALTERNATIVES

if TYPE_CHECKING:
    from aipc.generate import Reply
    from aipc.generate.prompt import Prompt
    from aipc.session.session import Session


schema_flag = click.option(
    "--schema",
    metavar="FILE|JSON",
    help="Answer in JSON that fits this JSON schema; '{}' allows any JSON.",
)


def read_schema(argument: str | None) -> dict[str, Any]:
    """The argument for `Session.stream`: {"schema": …}, or nothing where none was given.

    Raises:
        UsageError: a file that can't be read, or no JSON object in it.
    """
    if argument is None:
        return {}
    text = argument if argument.lstrip().startswith("{") else _content(argument)
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--schema is no JSON: {error}", "write a JSON schema") from error
    return {"schema": schema}


def check_whole(reply: Reply, given: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Fail where its length, or a loop, cut an answer that had to fit a schema.

    ``given`` and ``facts`` are as `warn_if_looped` has them.

    Raises:
        GenerationError: it was cut.
    """
    if reply.finish_reason == "length":
        raise GenerationError(
            f"the JSON is cut after {reply.usage.completion_tokens} tokens",
            "raise --max-new-tokens, or bound the schema's texts and lists",
        )
    if reply.finish_reason == "repetition":
        raise GenerationError(f"the JSON is cut, {loop_of(reply)}", loop_remedies(given, facts))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _content(name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"can't read the schema '{name}' ({reason})", "name a file, or write the JSON itself"
        ) from error


@click.command(cls=SectionedCommand)
@click.argument("words", nargs=-1, metavar="[PROMPT]")
@model_option
@adapter_flag
@session_flags
@loop_flag
@thinking_flags
@server_flags
@keep_warm_flag
@section(
    "Answer",
    click.option("--system", metavar="TEXT", help="Instructions that come before the prompt."),
    click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; repeatable."),
    schema_flag,
    click.option("--ignore-eos", is_flag=True, help="Go on past the end, to --max-new-tokens."),
)
@click.option(
    "--top-logprobs",
    type=click.IntRange(1, MOST_ALTERNATIVES),
    metavar="N",
    help="With --json: each token's probability, and those of the N likeliest at its place.",
)
@click.option("--timings", "wants_timings", is_flag=True, help="Say where the time went.")
@click.option("--explain", "wants_reasons", is_flag=True, help="Say what was chosen, and why.")
@click.option(
    "--json", "wants_json", is_flag=True, help="One JSON object: text, tokens, timings, facts."
)
def run(
    words: tuple[str, ...],
    system: str | None,
    stop: tuple[str, ...],
    schema: str | None,
    stops_loops: bool,
    ignore_eos: bool,
    top_logprobs: int | None,
    wants_timings: bool,
    wants_reasons: bool,
    wants_json: bool,
    **flags: Any,
) -> None:
    """Answer PROMPT with a model on this computer, streamed to stdout.

    Text on stdin is added after PROMPT; without PROMPT, or with "-", it is the prompt. Without
    -m the default model answers; it is fetched and converted at its first use. Sampling options
    left out are as the model's makers state them; --explain says where each comes from.
    """
    prompt = read_argument(words, flags["model"])
    options = sampling_of(flags)
    if top_logprobs is not None and not wants_json:
        raise UsageError("--top-logprobs is told with --json alone", "add --json")
    told = {"ignore_eos": ignore_eos or None, "top_logprobs": top_logprobs}
    form = {
        **read_schema(schema),
        **loop_options(stops_loops),
        **thinking_options(flags),
        **_given(told),
    }
    question = read_prompt(prompt)
    asked: Prompt = question  # which a model without a chat template continues
    if system:
        given = {"system": check_text(system), "user": question}
        asked = [{"role": role, "content": content} for role, content in given.items()]
    server = find_server(flags, notice, stop, tells_tokens=top_logprobs is not None)
    with server or _load(question, flags) as session:
        is_cold = "server" not in session.facts
        tells = wants_reasons or wants_json
        sampling = read_sampling(options, session.facts, form) if tells else None
        if sampling is not None and sampling.decoding.temperature:
            options["seed"] = sampling.decoding.seed  # the one that is stated
        if wants_reasons:
            show_reasons(session.facts, sampling)
        if wants_json:
            reply = session.generate(asked, stop=stop, **options, **form)
            timings = timing_facts(reply, session.stages, is_cold=is_cold)
            write_json({**as_json(reply, session.facts, sampling), "timings": timings})
        else:
            events = session.stream(asked, stop=stop, **options, **form)
            reply = show(events, hides_thinking=flags["hide_thinking"])
            if schema is None:
                warn_if_cut(reply)
        if schema is None:
            warn_if_looped(reply, options, session.facts)
        if wants_timings:
            show_timings(reply, session.stages, is_cold=is_cold)
        facts = session.facts
    make_ready_later(facts)
    if schema is not None:
        check_whole(reply, options, facts)


def _load(question: str, flags: dict[str, Any]) -> Session:
    from aipc.choose.probe.work import work_of  # its package takes 20 ms, which a server's saves

    return open_session({**flags, "work": work_of(question)})
