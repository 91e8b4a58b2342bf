"""The Jinja environment of chat templates: transformers' dialect, with a clock in it.

A template comes with a model, from a stranger.  It can't reach Python (Jinja's immutable
sandbox), and its turns of loops and its calls look at the clock.  What remains: a single
expression over a long text (``replace``, ``center``, ``join`` …) is not interrupted and may
take much memory; only a process of its own would end that.

This module imports Jinja and is itself imported at use.  The dialect is the one of
transformers' `utils/chat_template_utils.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from jinja2 import Template, TemplateError, meta, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SECONDS = 5.0
MAX_OUTPUT = 2**24
"""Characters; four times what a context of a million tokens holds."""
_MAX_RESULT = 2**20
_DEADLINE = "the deadline"  # no template can write a name with a space in it


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
    deadline = time.monotonic() + MAX_SECONDS
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
    if time.monotonic() > context.parent[_DEADLINE]:
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
