"""The Jinja environment of chat templates: transformers' dialect, with a clock in it.

A template comes with a model, from a stranger.  It can't reach Python (Jinja's immutable
sandbox), and its turns of loops and its calls look at the clock.  A single expression over a long
text (``replace``, ``center``, ``join`` …) is not interrupted and may take much memory, be it while
constants are folded: so this file is also the program of the process in which `process` has
templates rendered, of limited memory, and ended when it takes too long.

It imports Jinja, is itself imported at use, and as a program imports little else, so as to start
fast.  The dialect is the one of transformers' `utils/chat_template_utils.py`.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, meta, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from aipc.child import answer_lines, limit_memory

MEMORY = 2**28
"""Bytes that a template may take; a conversation of a million tokens has some tens of millions."""
MAX_SECONDS = 5.0
"""Of processor time: a machine may be busy, or suspended."""
MAX_OUTPUT = 2**24
"""Characters; four times what a context of a million tokens holds."""
_MAX_RESULT = 2**20
_LONGEST_REASON = 500
_DEADLINE = "the deadline"  # no template can write a name with a space in it


def main() -> None:
    """Answer each ``{"source": …, "variables": …}`` until stdin ends; see `_answer`."""
    answer_lines(_start)


def _start() -> Callable[[Any], Any]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the one who asks
    limit_memory(MEMORY)
    return _answer


def _answer(question: Mapping[str, Any]) -> dict[str, str]:
    """A ``text``; or why there is none: ``refusal`` by the template, ``failure`` by anything.

    Without variables the template is compiled, and there is no text.
    """
    variables = question["variables"]
    try:
        template = _compiled(question["source"])
        return {"text": "" if variables is None else render(template, variables)}
    except MemoryError:
        return {"failure": f"it takes more than {MEMORY // 2**20} MB of memory"}
    except TemplateError as error:
        return {"refusal": _reason(error)}
    except Exception as error:  # noqa: BLE001 - a template can fail in every way that Python can
        return {"failure": _reason(error)}


@lru_cache(maxsize=8)
def _compiled(source: str) -> Template:
    return compile_template(source)


def _reason(error: Exception) -> str:
    """On one line, of a template that may say anything."""
    return " ".join(str(error)[:_LONGEST_REASON].split()) or type(error).__name__


class TooMuch(Exception):
    """The template takes more than it may; the text says what of."""


def compile_template(source: str) -> Template:
    """Parse ``source``, put the clock into its loops, and compile it.

    Raises:
        jinja2.TemplateSyntaxError: ``source`` is no template.
    """
    environment = _Sandbox()
    tree = environment.parse(source)
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "timed", [], [], None, None, lineno=loop.lineno)
    return environment.from_string(tree)


def variables_of(source: str) -> frozenset[str]:
    """Names that a template reads and does not set itself; none where it is no template."""
    try:
        return frozenset(meta.find_undeclared_variables(_Sandbox().parse(source)))
    except TemplateError:
        return frozenset()


def render(template: Template, variables: Mapping[str, Any]) -> str:
    """The text that ``template`` writes.

    Raises:
        TooMuch: more time or text than a chat template may take.
        Exception: whatever else goes wrong in a template, a jinja2.TemplateError mostly.
    """
    deadline = time.process_time() + MAX_SECONDS
    pieces: list[str] = []
    size = 0
    for piece in template.generate({**variables, _DEADLINE: deadline}):
        size += len(piece)
        if size > MAX_OUTPUT:
            raise TooMuch(f"it writes more than {MAX_OUTPUT:,} characters")
        pieces.append(piece)
    return "".join(pieces)


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**"})

    def __init__(self) -> None:
        extensions = [_GenerationTag, loopcontrols]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        self.filters["tojson"] = _tojson
        self.filters["timed"] = _timed
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now
        del self.globals["lipsum"]

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        _look_at_clock(context)
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if _size_of_result(operator, left, right) > _MAX_RESULT:
            raise TooMuch(f"it computes a value of more than {_MAX_RESULT:,} characters or bits")
        return super().call_binop(context, operator, left, right)


class _GenerationTag(Extension):
    """``{% generation %}`` marks the model's own words for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


@pass_context
def _timed(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _look_at_clock(context)
        yield item


def _look_at_clock(context: Context) -> None:
    if time.process_time() > context.parent[_DEADLINE]:
        raise TooMuch(f"it runs for more than {MAX_SECONDS:g} seconds")


def _size_of_result(operator: str, left: Any, right: Any) -> int:
    """Elements of a repeated sequence, or about the bits of a number."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        return bits * abs(right) if operator == "**" else bits + right.bit_length()
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, (str, list, tuple)) and isinstance(count, int):
            return len(sequence) * count
    return 0


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own would escape HTML; the parameters and their order are transformers'."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)  # noqa: DTZ005 - the user's own clock, as transformers


if __name__ == "__main__":
    main()
