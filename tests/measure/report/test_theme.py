from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from aipc.measure.report.charts import Point, PointChart
from aipc.measure.report.drawing import draw_png, draw_svg
from aipc.measure.report.theme import ROLES, themed

CHART = PointChart(
    (Point("one $\\frac{1}{2}$ <b>", 0, 0.01, 5.0), Point("two", 1, 0.5, 9.0)), ((0, 1),), "x", "y"
)
LIGHT = {light for light, _ in ROLES.values()}


def picture(**options):
    return themed(draw_svg(CHART), "points", "A title", "What <is> seen.", **options)


def test_text_stays_text_and_every_color_has_a_class():
    svg = ET.fromstring(picture())
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert "one $\\frac{1}{2}$ <b>" in texts
    colored = [one for one in svg.iter() if one.get("fill") in LIGHT or one.get("stroke") in LIGHT]
    assert len(colored) > 20
    for element in colored:
        classes = element.get("class").split()
        assert ("fill" in element.attrib and element.get("fill") != "none") == any(
            one.startswith("f-") for one in classes
        )
    other = {element.get(key) for element in svg.iter() for key in ("fill", "stroke")}
    assert other <= LIGHT | {None, "none"}


def test_it_is_named_for_those_who_hear_it():
    svg = ET.fromstring(picture())
    names = {one.get("id"): one.text for one in svg if one.get("id")}
    assert svg.get("role") == "img"
    assert [names[one] for one in svg.get("aria-labelledby").split()] == [
        "A title",
        "What <is> seen.",
    ]


def test_nothing_in_it_needs_a_style_or_another_file():
    assert not re.search(r"style=|<style|<script|http(?!://www\.w3\.org/2000/svg)", picture())
    assert re.findall(r'href="(.)', picture())
    for target in re.findall(r'(?:href="|url\()#([^")]+)', picture()):
        assert f'id="{target}"' in picture()
        assert target.startswith("points-")


def test_a_file_of_its_own_turns_dark_with_the_system():
    assert "prefers-color-scheme:dark" in picture(is_file=True)
    assert ROLES["ink"][1] in picture(is_file=True)


def test_the_same_chart_gives_the_same_bytes():
    assert picture() == picture()
    assert draw_png(CHART) == draw_png(CHART)
    assert draw_png(CHART).startswith(b"\x89PNG")
