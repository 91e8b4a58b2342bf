from __future__ import annotations

import threading
import time

import pytest

from aipc.generate.sandbox import process
from aipc.generate.sandbox.dialect import MEMORY
from aipc.generate.sandbox.process import TemplateFailed, TemplateProcess, TemplateRefused

LONG = "{% set t = 'x' * 1000000 %}"
GROWING = {
    "center": "{{ 'x'.center(10000000000) }}",
    "the filter": "{{ 'x'|center(10000000000) }}",
    "folded": "{{ 'x'|center(10000000000)|length }}",
    "replace": LONG + "{{ t.replace('x', t)|length }}",
    "join": LONG + "{{ t|join(t)|length }}",
    "a method's join": LONG + "{{ t.join(t)|length }}",
    "tojson": "{{ [[[1]]]|tojson(indent=1000000000) }}",
    "a width": "{{ '%10000000000d' % 1 }}",
    "a filter's width": "{{ '%10000000000d'|format(1) }}",
    "format": "{{ '{:10000000000}'.format(1) }}",
    "texts doubled": (
        "{% set ns = namespace(a='x') %}{% for i in range(64) %}"
        "{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a|length }}"
    ),
    "lists doubled": (
        "{% set ns = namespace(a=[1]) %}{% for i in range(64) %}"
        "{% set ns.a = ns.a + ns.a %}{% endfor %}{{ ns.a|length }}"
    ),
    "blocks doubled": (
        "{% set ns = namespace(a='x') %}{% for i in range(64) %}"
        "{% set b %}{{ ns.a }}{{ ns.a }}{% endset %}{% set ns.a = b %}{% endfor %}"
    ),
    "a list in itself, written": (
        "{% set ns = namespace(a=['x' * 1000]) %}{% for i in range(64) %}"
        "{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}"
    ),
    "zfill": "{{ 'x'.zfill(10000000000) }}",
    "expandtabs": "{{ '\t'.expandtabs(2000000000)|length }}",
    "translate": LONG + "{{ t.translate({120: t})|length }}",
    "indent": LONG + "{{ (t|list|join('\n'))|indent(100000)|length }}",
    "batch": "{{ [1]|batch(10000000000, 'x')|list|length }}",
    "to_bytes": "{{ (1).to_bytes(10000000000, 'big')|length }}",
}
HANGING = (
    "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(64) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}"
)


@pytest.fixture(scope="module")
def templates():
    templates = TemplateProcess()
    yield templates
    templates.close()


@pytest.mark.parametrize("name", GROWING)
def test_a_growing_value_ends_at_the_limit_of_memory(templates, name):
    started = time.monotonic()
    with pytest.raises(TemplateFailed):
        templates.render(GROWING[name], {})
    assert time.monotonic() - started < process.LIMIT_S + 2
    assert templates.render("{{ x }}", {"x": "well"}) == "well"


def test_the_limit_is_told(templates):
    with pytest.raises(TemplateFailed, match=f"takes more than {MEMORY // 2**20} MB of memory"):
        templates.render(GROWING["replace"], {})


def test_constants_are_folded_within_the_limits_too(templates):
    templates.check(GROWING["folded"])  # Jinja leaves what it can't fold to the rendering
    with pytest.raises(TemplateFailed, match="memory"):
        templates.render(GROWING["folded"], {})


def test_what_hangs_is_ended_and_the_next_is_rendered(templates, monkeypatch):
    monkeypatch.setattr(process, "LIMIT_S", 0.5)
    with pytest.raises(TemplateFailed, match="takes too long"):
        templates.render(HANGING, {})
    assert templates.render("{{ x }}", {"x": 1}) == "1"


def test_a_template_s_own_refusal_is_told_apart(templates):
    with pytest.raises(TemplateRefused, match="no system here"):
        templates.render("{{ raise_exception('no  system\nhere') }}", {})
    with pytest.raises(TemplateRefused, match="Expected an expression"):
        templates.check("{{ }}")
    with pytest.raises(TemplateFailed, match="not callable"):
        templates.render("{{ x() }}", {"x": 1})


def test_long_conversations_and_odd_texts_come_back(templates):
    text = "\N{SNOWMAN}\ud800\n" * 10**6
    assert templates.render("{{ messages[0].content }}", {"messages": [{"content": text}]}) == text


def test_threads_share_it(templates):
    found = {}

    def render(number):
        found[number] = templates.render("{{ n }}", {"n": number})

    threads = [threading.Thread(target=render, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: str(number) for number in range(20)}
