"""The page as a browser shows it: every picture seen, in light, in dark and on paper."""

from __future__ import annotations

import pytest
from chromium import launched

from aipc.measure.report.findings import read_findings
from aipc.measure.report.report import make_report, write_page

ATTACK = "</text></svg><script>window.x=1</script><img src=http://127.0.0.1:9/x onerror=window.x=1>"
FIGURES = ("latency", "first-token", "quality", "memory", "energy", "limit")


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_file(report_files, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_page(make_report(read_findings(report_files)), file)
    return file


@pytest.fixture
def show(browser):
    """Open a page; what it asked the network for and complained of comes with it."""
    contexts = []

    def show(file, **options):
        context = browser.new_context(viewport={"width": 1100, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.trouble = []
        page.on("console", lambda message: page.trouble.append(message.text))
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("request", lambda request: page.trouble.append(request.url))
        page.goto(file.as_uri())
        page.trouble.remove(file.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()


def ink(page, selector):
    """How many drawn shapes a picture has, and texts that overlap others of it."""
    return page.eval_on_selector(
        selector,
        """svg => {
          const boxes = [...svg.querySelectorAll("text")].map(text => text.getBoundingClientRect());
          const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
            && a.top < b.bottom - 3 && b.top < a.bottom - 3;
          const overlaps = boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => meet(a, b)));
          return {shapes: svg.querySelectorAll("path, use").length, overlaps: overlaps.length,
                  texts: boxes.length};
        }""",
    )


@pytest.mark.parametrize(
    "options", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"media": "print"}]
)
def test_every_picture_is_seen(options, show, page_file, tmp_path):
    page = show(page_file, color_scheme=options.get("color_scheme", "dark"))
    page.emulate_media(media=options.get("media"))
    for name in FIGURES:
        box = page.locator(f"figure#{name}").bounding_box()
        assert box["width"] > 600
        assert box["height"] > 80
    for name in set(FIGURES) - {"energy"}:
        seen = ink(page, f"figure#{name} svg")
        assert seen["shapes"] > 10, name
        assert seen["texts"] > 8, name
        assert seen["overlaps"] == 0, name
    assert page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert page.trouble == []


def test_colors_follow_the_scheme_and_paper_is_white(show, page_file):
    def colors(page):
        return page.evaluate(
            """() => [getComputedStyle(document.documentElement).backgroundColor,
                      getComputedStyle(document.querySelector("svg .f-ink")).fill]"""
        )

    light, dark = (show(page_file, color_scheme=scheme) for scheme in ("light", "dark"))
    assert colors(light) == ["rgb(246, 244, 238)", "rgb(28, 36, 32)"]
    assert colors(dark) == ["rgb(19, 24, 22)", "rgb(228, 233, 228)"]
    dark.emulate_media(media="print")
    assert colors(dark) == ["rgb(255, 255, 255)", "rgb(28, 36, 32)"]


def test_lines_differ_without_their_colors(show, page_file):
    dashes = show(page_file).eval_on_selector_all(
        "#latency path[stroke-width='1.9']",
        "lines => lines.map(line => line.getAttribute('stroke-dasharray'))",
    )
    assert len(set(dashes)) == 4


def test_absent_energy_is_said_in_words(show, page_file):
    text = show(page_file).locator("figure#energy").inner_text()
    assert "not measured on this machine" in text
    assert "0" not in text


def test_a_phone_scrolls_pictures_and_not_the_page(show, page_file):
    page = show(page_file)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("figure#latency svg").bounding_box()["width"] > 600


def test_machines_are_seen_side_by_side_and_first(show, fleet_files, tmp_path):
    file = tmp_path / "fleet.html"
    write_page(make_report(read_findings(fleet_files)), file)
    page = show(file)
    first = page.locator("figure").first
    assert first.get_attribute("id") == "machines"
    assert first.bounding_box()["width"] > 600
    seen = ink(page, "figure#machines svg")
    assert seen["texts"] > 15
    assert seen["overlaps"] == 0
    text = page.locator("main").inner_text()
    assert text.index("Which model for which machine") < text.index("Several machines:")
    assert "does not fit: took 9.0 GB elsewhere" in text
    assert page.trouble == []


def test_names_from_a_stranger_stay_text(show, changed_result, tmp_path):
    def rename(table):
        table["model"] = ATTACK
        table["noise"]["warnings"] = [ATTACK]
        for one in table["participants"]:
            one.update(name=ATTACK, failure=ATTACK, versions={ATTACK: ATTACK})

    file = tmp_path / "attacked.html"
    write_page(make_report(read_findings([changed_result(rename)])), file)
    page = show(file)
    assert page.evaluate("window.x") is None
    assert page.locator("img, script").count() == 0
    assert page.locator("h1").inner_text().startswith("</text></svg><script>")
    assert page.trouble == []
