from __future__ import annotations

import time

import pytest
from jinja2.exceptions import SecurityError

from aipc.generate.sandbox import dialect

ENDLESS = {
    "nested loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    ),
    "loops over a text": (
        "{% set t = 'x' * 100000 %}"
        "{% for a in t %}{% for b in t %}{% if loop.length < 0 %}{% endif %}"
        "{% endfor %}{% endfor %}"
    ),
    "loops with a condition": (
        "{% for a in range(99999) %}{% for b in range(99999) if b < 0 %}{% endfor %}{% endfor %}"
    ),
    "macro that calls itself": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    ),
    "recursive loop": (
        "{% for a in [50] recursive %}{% if a %}{{ loop([a - 1, a - 1]) }}{% endif %}{% endfor %}"
    ),
}


def run(source, **variables):
    return dialect.render(dialect.compile_template(source), variables)


@pytest.mark.parametrize("name", ENDLESS)
def test_time_is_limited(monkeypatch, name):
    monkeypatch.setattr(dialect, "MAX_SECONDS", 0.2)
    start = time.monotonic()
    with pytest.raises(dialect.TooMuch, match=r"runs for more than 0\.2 seconds"):
        run(ENDLESS[name])
    assert time.monotonic() - start < 5


def test_output_is_limited(monkeypatch):
    monkeypatch.setattr(dialect, "MAX_OUTPUT", 1000)
    assert len(run("{% for i in range(1000) %}x{% endfor %}")) == 1000
    with pytest.raises(dialect.TooMuch, match="writes more than 1,000 characters"):
        run("{% for i in range(1001) %}x{% endfor %}")


@pytest.mark.parametrize(
    "source",
    ["{{ 'x' * 10000000000 }}", "{{ 10000000000 * [1] }}", "{{ 10 ** 1000000 }}"],
)
def test_size_of_one_value_is_limited(source):
    with pytest.raises(dialect.TooMuch, match="computes a value of more than"):
        run(source)


def test_arithmetic_within_the_limits_is_python_s():
    assert run("{{ 3 * 4 }} {{ 'ab' * 2 }} {{ 2 ** 10 }} {{ 2.5 * 2 }}") == "12 abab 1024 5.0"


def test_loop_variables_are_jinja_s():
    source = "{% for a in xs %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}"
    assert run(source, xs=["a", "b"]) == "1/2False 2/2True "
    assert run("{% for a in missing %}x{% else %}none{% endfor %}") == "none"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ ''|attr('__class__') }}{{ (''|attr('format')).__globals__.x }}",
        "{{ raise_exception.__globals__['json'] }}",
    ],
)
def test_python_is_out_of_reach(source):
    with pytest.raises(SecurityError, match="unsafe"):
        run(source, messages=[])


def test_deadline_can_not_be_moved_by_the_template(monkeypatch):
    monkeypatch.setattr(dialect, "MAX_SECONDS", -1.0)
    with pytest.raises(dialect.TooMuch):
        run("{% set deadline = 9e99 %}{% for i in range(3) %}{% endfor %}")
